"""An operator's whole day on a practice network of its own, through the agent's socket like any console."""
