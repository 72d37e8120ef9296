"""Nova's libvirt driver, with Vitalwire's channels in the domains it defines.

Nova has no option for another virtio-serial channel, and its hook for domain XML is private. So
everything here is guarded: whatever is not as expected leaves the domain as Nova made it, and says
so in nova-compute's log. A server boots with the channel or without it, but it boots.
"""
import inspect

from nova import version
from nova.virt.libvirt import config as vconfig
from nova.virt.libvirt import driver as libvirt_driver
from oslo_config import cfg
from oslo_log import log

from vitalwire_nova import channels

CONF = cfg.CONF
LOG = log.getLogger(__name__)

TESTED_NOVA = "26."
VIRT_TYPES = ("kvm", "qemu")


def incompatibility(base, nova_config):
    """Return what keeps this Nova (LibvirtDriver, config module) from being extended, or None."""
    hook = getattr(base, "_get_guest_config", None)
    if not callable(hook):
        return "LibvirtDriver has no _get_guest_config"
    if list(inspect.signature(hook).parameters)[:2] != ["self", "instance"]:
        return "the first argument of LibvirtDriver._get_guest_config is not 'instance'"
    channel_class = getattr(nova_config, "LibvirtConfigGuestChannel", None)
    if channel_class is None:
        return "there is no LibvirtConfigGuestChannel"
    missing = [
        name
        for name in ("type", "source_path", "target_name")
        if not hasattr(channel_class(), name)
    ]
    if missing:
        return "LibvirtConfigGuestChannel has no %s" % ", ".join(missing)
    return None


class VitalwireLibvirtDriver(libvirt_driver.LibvirtDriver):
    def __init__(self, virtapi, read_only=False):
        super().__init__(virtapi, read_only)
        nova_version = version.version_string()
        problem = incompatibility(libvirt_driver.LibvirtDriver, vconfig)
        self._vitalwire_active = problem is None
        if problem:
            LOG.error(
                "Vitalwire: no channel will be added to any server, because Nova %s differs from "
                "what this extension knows: %s. Servers boot as with plain Nova.",
                nova_version,
                problem,
            )
        elif not nova_version.startswith(TESTED_NOVA):
            LOG.warning(
                "Vitalwire: adding channels with Nova %s, which this extension was not tested with "
                "(tested: %sx).",
                nova_version,
                TESTED_NOVA,
            )
        else:
            LOG.info(
                "Vitalwire: adding channels to servers whose flavor asks for them (Nova %s).",
                nova_version,
            )

    def _get_guest_config(self, *args, **kwargs):
        guest = super()._get_guest_config(*args, **kwargs)
        if not self._vitalwire_active:
            return guest
        instance = args[0] if args else kwargs["instance"]
        try:
            devices = self._vitalwire_devices(guest, instance)
        except Exception:
            LOG.exception(
                "Vitalwire: no channel added, the server boots as with plain Nova",
                instance=instance,
            )
            return guest
        for device in devices:
            guest.add_device(device)
        return guest

    def _vitalwire_devices(self, guest, instance):
        asked = channels.wanted(instance.flavor.extra_specs)
        for problem in asked.problems:
            LOG.warning("Vitalwire: %s; ignored", problem, instance=instance)
        if not asked.channels:
            return []
        if CONF.libvirt.virt_type not in VIRT_TYPES:
            LOG.warning(
                "Vitalwire: no channel added, virt_type is %s, expected one of: %s",
                CONF.libvirt.virt_type,
                ", ".join(VIRT_TYPES),
                instance=instance,
            )
            return []
        present = {getattr(device, "target_name", None) for device in guest.devices}
        devices = [
            self._vitalwire_channel(name, instance)
            for name in asked.channels
            if name not in present
        ]
        if devices and guest.launch_security is not None and not self._has_controller(guest):
            devices.insert(0, self._vitalwire_controller())
        LOG.debug("Vitalwire: channels %s", asked.channels, instance=instance)
        return devices

    @staticmethod
    def _has_controller(guest):
        return any(
            device.type == "virtio-serial"
            for device in guest.devices
            if isinstance(device, vconfig.LibvirtConfigGuestController)
        )

    @staticmethod
    def _vitalwire_channel(name, instance):
        channel = vconfig.LibvirtConfigGuestChannel()
        channel.type = "unix"
        channel.target_name = name
        channel.source_path = channels.socket_path(name, instance.name)
        return channel

    @staticmethod
    def _vitalwire_controller():
        # libvirt would add one, but without the IOMMU setting that memory encryption needs.
        controller = vconfig.LibvirtConfigGuestController()
        controller.type = "virtio-serial"
        controller.driver_iommu = True
        return controller
