"""vitalwire-doctor(1): examines an installation of Vitalwire on this machine."""
