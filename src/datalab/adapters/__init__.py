"""The edge: the only code that touches disk, network, GPU libraries or a vendor's format."""
