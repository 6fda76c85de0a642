"""How fast scoring is beside the published packages, and whether its numbers are right: `somatui bench score`."""
