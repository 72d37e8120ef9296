/* A machine that starts its hardware watchdog (ib700, six seconds) and never feeds it. A multiboot kernel, as
 * hanging_guest.c. */

enum { MAGIC = 0x1badb002 };
__attribute__((section(".text.start"), used)) static const unsigned multiboot[] = {MAGIC, 0, (unsigned)-MAGIC};

__asm__(
    ".globl _start\n_start: cli\n"
    " mov $0x443, %dx; mov $12, %al; out %al, %dx\n"
    "1: hlt; jmp 1b\n");
