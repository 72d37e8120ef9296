"""Machines of a few megabytes without an operating system: a multiboot kernel of the test's own, in C."""

from pathlib import Path
import subprocess

from vmbed.libvirtbed import Host

COMPILE = "-m32 -O2 -ffreestanding -fno-pie -no-pie -fno-stack-protector -nostdlib -static -Wl,-Ttext=0x100000 -Wl,--build-id=none"


def compiled(source: Path, host: Host) -> Path:
    """Where the host's domains can read it."""
    kernel = host.folder / "boot" / source.stem
    subprocess.run(["cc", *COMPILE.split(), "-o", kernel, source], check=True)
    return kernel


def domain_xml(name: str, identity: str, kernel: Path, devices: str) -> str:
    return f"""
<domain type='qemu'>
  <name>{name}</name>
  <uuid>{identity}</uuid>
  <memory unit='MiB'>2</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type><kernel>{kernel}</kernel></os>
  <features><acpi/><tcg><tb-cache unit='MiB'>1</tb-cache></tcg></features>
  <on_crash>preserve</on_crash>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <controller type='usb' model='none'/>
    {devices}
    <memballoon model='none'/>
  </devices>
</domain>
"""
