"""Where nova-compute looks: `compute_driver = vitalwire.VitalwireLibvirtDriver`."""
from vitalwire_nova.driver import VitalwireLibvirtDriver

__all__ = ["VitalwireLibvirtDriver"]
