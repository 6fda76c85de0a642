"""somatui: the terminal console from which people operate on the SOMA network."""

__version__ = "0.1.0"
