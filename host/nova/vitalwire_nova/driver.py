"""Nova's libvirt driver, with Vitalwire's channels in the domains it defines, and guests that are asked before actions.

Nova has no option for another virtio-serial channel, and its hook for domain XML is private. So
everything here is guarded: whatever is not as expected leaves the domain as Nova made it, and says
so in nova-compute's log. A server boots with the channel or without it, but it boots.
"""
import contextlib
import inspect

from nova.compute import task_states
from nova.compute import utils as compute_utils
from nova import exception
from nova import version
from nova.virt.libvirt import config as vconfig
from nova.virt.libvirt import driver as libvirt_driver
from oslo_config import cfg
from oslo_log import log

from vitalwire_nova import actions
from vitalwire_nova import channels

CONF = cfg.CONF
LOG = log.getLogger(__name__)

OPTIONS = [
    cfg.StrOpt(
        "agent_socket",
        default="/run/vitalwire/agent.sock",
        help="UNIX socket of vitalwire-agent on this host, which is asked before actions. Empty: guests are not asked.",
    ),
    cfg.BoolOpt("action_votes", default=True, help="False: guests are notified of actions and cannot reject any."),
    cfg.IntOpt(
        "action_timeout",
        default=45,
        min=1,
        max=660,
        help="Seconds to wait for the agent: more than its own action_timeout_max. After that the action goes on.",
    ),
]
CONF.register_opts(OPTIONS, "vitalwire")

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


class ActionRejected(exception.NovaException):
    msg_fmt = "The guest rejects %(event)s: %(reason)s"


class AskingDriver(libvirt_driver.LibvirtDriver):
    """Asks the guest before an action that it may reject, and notifies it when one is over.

    Stop, soft reboot, pause, suspend, migration and resize are asked about. Hard reboot, delete and what Nova does by
    itself are not: they are for servers that do not answer any more.
    """

    def power_off(self, instance, timeout=0, retry_interval=0):
        # Also called to shelve, rebuild and resize; without a timeout the server is to be off at once.
        if timeout and instance.task_state == task_states.POWERING_OFF:
            self._vitalwire_check(instance, "stop")
        return super().power_off(instance, timeout, retry_interval)

    def reboot(self, context, instance, network_info, reboot_type, *args, **kwargs):
        if reboot_type == "SOFT":
            self._vitalwire_check(instance, "reboot")
        return super().reboot(context, instance, network_info, reboot_type, *args, **kwargs)

    def pause(self, instance):
        self._vitalwire_check(instance, "pause")
        return super().pause(instance)

    def unpause(self, instance):
        result = super().unpause(instance)
        self._vitalwire_notify(instance, "unpause")
        return result

    def suspend(self, context, instance):
        with _rollback():
            self._vitalwire_check(instance, "suspend")
        return super().suspend(context, instance)

    def resume(self, context, instance, *args, **kwargs):
        result = super().resume(context, instance, *args, **kwargs)
        self._vitalwire_notify(instance, "resume")
        return result

    def live_migration(
        self, context, instance, dest, post_method, recover_method, block_migration=False, migrate_data=None
    ):
        try:
            self._vitalwire_check(instance, "live_migrate_begin")
        except ActionRejected as rejected:
            # Raised from here it would put the server into ERROR.
            compute_utils.add_instance_fault_from_exc(context, instance, rejected)
            recover_method(context, instance, dest, migrate_data)
            return None
        return super().live_migration(
            context, instance, dest, post_method, recover_method, block_migration, migrate_data
        )

    def post_live_migration_at_destination(self, context, instance, *args, **kwargs):
        result = super().post_live_migration_at_destination(context, instance, *args, **kwargs)
        self._vitalwire_notify(instance, "live_migrate_end")
        return result

    def rollback_live_migration_at_source(self, context, instance, *args, **kwargs):
        result = super().rollback_live_migration_at_source(context, instance, *args, **kwargs)
        self._vitalwire_notify(instance, "live_migrate_end")
        return result

    def migrate_disk_and_power_off(self, context, instance, dest, flavor, *args, **kwargs):
        same_flavor = getattr(flavor, "flavorid", None) == instance.flavor.flavorid
        with _rollback():
            self._vitalwire_check(instance, "cold_migrate_begin" if same_flavor else "resize_begin")
        return super().migrate_disk_and_power_off(context, instance, dest, flavor, *args, **kwargs)

    def finish_migration(self, context, migration, instance, *args, **kwargs):
        result = super().finish_migration(context, migration, instance, *args, **kwargs)
        self._vitalwire_notify(instance, _end_of(migration))
        return result

    def finish_revert_migration(self, context, instance, network_info, migration, *args, **kwargs):
        result = super().finish_revert_migration(context, instance, network_info, migration, *args, **kwargs)
        self._vitalwire_notify(instance, _end_of(migration))
        return result

    def _vitalwire_check(self, instance, event):
        """Raise ActionRejected when the guest rejects the action."""
        reason = self._vitalwire_ask(instance, event)
        if reason is not None:
            LOG.warning("Vitalwire: the guest rejects %s: %s", event, reason, instance=instance)
            raise ActionRejected(event=event, reason=reason)

    def _vitalwire_notify(self, instance, event):
        self._vitalwire_ask(instance, event)

    @staticmethod
    def _vitalwire_ask(instance, event):
        """Return why the guest rejects the action, or None. Whatever is not as expected is consent."""
        try:
            extra_specs = instance.flavor.extra_specs
            if not CONF.vitalwire.agent_socket or not channels.wanted(extra_specs).channels:
                return None
            vote = CONF.vitalwire.action_votes and channels.may_vote(extra_specs)
            answer = actions.ask(
                CONF.vitalwire.agent_socket, instance.uuid, event, vote, CONF.vitalwire.action_timeout
            )
        except Exception:
            LOG.exception("Vitalwire: the guest is not asked about %s", event, instance=instance)
            return None
        if answer.problem:
            LOG.warning("Vitalwire: the guest is not asked about %s: %s", event, answer.problem, instance=instance)
        return answer.rejected


@contextlib.contextmanager
def _rollback():
    """Where Nova puts a server into ERROR for any other exception."""
    try:
        yield
    except ActionRejected as rejected:
        raise exception.InstanceFaultRollback(inner_exception=rejected)


def _end_of(migration):
    return "resize_end" if migration.migration_type == "resize" else "cold_migrate_end"


class VitalwireLibvirtDriver(AskingDriver):
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
