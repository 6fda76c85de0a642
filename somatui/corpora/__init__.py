"""Where candidate bytes come from, what is left out and why, and how far a run has come."""
