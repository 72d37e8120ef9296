"""Real virtual machines and real processes for the tests and ./quickstart.

kernel      the Debian cloud kernel, unpacked into a cache
initramfs   a tiny guest image around a payload (the program under test)
python      payloads that are Python scripts
qmp         client of QEMU's monitor
guest       one QEMU guest: boot, snapshot boot, control, migrate, kill
libvirtbed  a private libvirtd with its own domains
procs       temporary directories, daemons, readiness, waiting, HTTP over TCP and UNIX sockets
serving     a thread or an HTTP server beside a test
inspector   a fault receiver that can be told to fail
"""
