/* A machine of its own of a few hundred kilobytes, for a test that needs hundreds: no system, no timer, asleep but for
 * its device's interrupts. Its QEMU guest agent, port 1 of a virtio-serial device of the PC's board (virtio 0.9), opens
 * its port, answers the first guest-get-time, and hangs.
 *
 * cc -m32 -O2 -ffreestanding -fno-pie -nostdlib -static -Wl,-Ttext=0x100000 -Wl,--build-id=none: a multiboot kernel. */

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;

enum { MAGIC = 0x1badb002 };
__attribute__((section(".text.start"), used)) static const u32 multiboot[] = {MAGIC, 0, (u32)-MAGIC};

static void out8(u16 port, u8 value) {
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}
static void out16(u16 port, u16 value) {
    __asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}
static void out32(u16 port, u32 value) {
    __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}
static u16 in16(u16 port) {
    u16 value;
    __asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}
static u32 in32(u16 port) {
    u32 value;
    __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static void hang(void) {
    for (;;)
        __asm__ volatile("cli; hlt");
}

/* ---- interrupts: all that they do is to wake it */

static u16 device __attribute__((used));

__asm__(
    "interrupted: push %eax; push %edx\n"
    " mov device, %dx; add $19, %dx; in %dx, %al\n" /* the device is seen to */
    " mov $0x20, %al; out %al, $0xa0; out %al, $0x20\n"
    " pop %edx; pop %eax; iret\n");
extern char interrupted[];

struct table {
    u16 limit;
    u32 base;
} __attribute__((packed));

static void allow_interrupts(void) {
    static u32 segments[6] = {0, 0, 0xffff, 0xcf9a00, 0xffff, 0xcf9200};
    static u32 gates[2 * 256];
    const struct table segment_table = {sizeof segments - 1, (u32)segments},
                       gate_table = {sizeof gates - 1, (u32)gates};
    for (int i = 0; i < 256; ++i) {
        gates[2 * i] = 0x80000 | ((u32)interrupted & 0xffff);
        gates[2 * i + 1] = ((u32)interrupted & 0xffff0000) | 0x8e00;
    }
    __asm__ volatile("lgdt %0; ljmp $8, $1f; 1: mov %2, %%ds; mov %2, %%es; mov %2, %%ss; lidt %1"
                     :
                     : "m"(segment_table), "m"(gate_table), "r"(16));
    out8(0x21, 0xfb); /* of the second controller only */
    out8(0xa1, 0xf1); /* those of PCI devices */
}

/* ---- PCI: the first virtio-serial device of bus 0 */

static u16 find_device(void) {
    for (u32 slot = 0; slot < 32; ++slot) {
        const u32 address = 0x80000000u | slot << 11;
        out32(0xcf8, address);
        if (in32(0xcfc) != 0x10031af4) continue;
        out32(0xcf8, address | 4);
        out16(0xcfc, 7); /* ports, memory, bus master */
        out32(0xcf8, address | 0x10);
        return in32(0xcfc) & ~3u;
    }
    hang();
    return 0;
}

/* ---- virtio 0.9: queues of up to 128 entries in two pages */

enum { MULTIPORT = 2, CONTROL_OUT = 3, PORT_IN = 4, PORT_OUT = 5, PAGE = 4096 };

struct descriptor {
    u32 address, high, length;
    u16 flags, next;
};
struct ring {
    u16 flags, index, entries[128];
};
struct queue {
    u8* memory;
    u16 number, size, taken;
};

static u8 pages[3][2 * PAGE] __attribute__((aligned(PAGE)));
static struct queue control_out = {pages[0], CONTROL_OUT, 0, 0}, port_in = {pages[1], PORT_IN, 0, 0},
                    port_out = {pages[2], PORT_OUT, 0, 0};

static void make(struct queue* queue) {
    out16(device + 14, queue->number);
    queue->size = in16(device + 12);
    out32(device + 8, (u32)queue->memory / PAGE);
}

static struct ring* offered(struct queue* queue) {
    return (struct ring*)(queue->memory + 16 * queue->size);
}

static void offer(struct queue* queue, void* buffer, u32 length, u16 flags) {
    struct descriptor* descriptor = (struct descriptor*)queue->memory;
    *descriptor = (struct descriptor){(u32)buffer, 0, length, flags, 0};
    struct ring* ring = offered(queue);
    ring->entries[ring->index % queue->size] = 0;
    __asm__ volatile("" : : : "memory");
    ++ring->index;
    out16(device + 16, queue->number);
}

/* Returns the length of what was written to the buffer. */
static u32 await(struct queue* queue) {
    const volatile u16* used = (const volatile u16*)(queue->memory + PAGE);
    while (used[1] == queue->taken) {
        __asm__ volatile("sti; hlt; cli" : : : "memory");
    }
    const volatile u32* entry = (const volatile u32*)(queue->memory + PAGE + 4) + 2 * (queue->taken++ % queue->size);
    return entry[1];
}

static void control(u32 port, u16 event, u16 value) {
    struct {
        u32 port;
        u16 event, value;
    } message = {port, event, value};
    offer(&control_out, &message, sizeof message, 0);
    await(&control_out);
}

static void say(const char* text, u32 length) {
    offer(&port_out, (void*)text, length, 0);
    await(&port_out);
}

/* ---- the guest agent */

static const char* after(const char* line, const char* what) {
    for (; *line; ++line) {
        const char *a = line, *b = what;
        while (*b && *a == *b)
            ++a, ++b;
        if (!*b) return a;
    }
    return 0;
}

static void answer(const char* number) {
    char text[64] = "{\"return\": ";
    u32 length = 11;
    while ((*number >= '0' && *number <= '9') && length < 50)
        text[length++] = *number++;
    text[length++] = '}';
    text[length++] = '\n';
    say(text, length);
}

static void obey(const char* line) {
    const char* id = after(line, "\"id\":");
    if (after(line, "guest-sync") && id) {
        while (*id == ' ')
            ++id;
        answer(id);
    } else if (after(line, "guest-get-time")) {
        answer("1700000000000000000");
        hang();
    }
}

__attribute__((used)) void serve(void) {
    static char line[1024], piece[256];
    u32 length = 0;
    allow_interrupts();
    device = find_device();
    out8(device + 18, 3); /* acknowledged, driver */
    out32(device + 4, MULTIPORT);
    make(&control_out);
    make(&port_in);
    make(&port_out);
    out8(device + 18, 7);       /* ready */
    control(0xffffffffu, 0, 1); /* the device is ready */
    control(1, 3, 1);           /* the port is ready */
    control(1, 6, 1);           /* and open */
    for (;;) {
        offer(&port_in, piece, sizeof piece, 2);
        const u32 got = await(&port_in);
        for (u32 i = 0; i < got; ++i) {
            if (piece[i] != '\n' && length < sizeof line - 1) {
                line[length++] = piece[i];
                continue;
            }
            line[length] = 0;
            length = 0;
            obey(line);
        }
    }
}

__asm__(
    ".globl _start\n_start: cli\n mov $stack_end, %esp\n call serve\n.bss\n.align 16\n.skip 8192\nstack_end:\n.text\n");
