"""The network's models in PyTorch: weights, the scoring contract, training. Imported by workers alone."""
