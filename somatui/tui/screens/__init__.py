"""What covers the terminal: the first screen, home, and the panels that open above it."""
