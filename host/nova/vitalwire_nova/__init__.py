"""What Vitalwire adds to Nova: a compute driver that plugs the guest's channels at boot, and a
validator for the flavor extra specs that ask for them."""
