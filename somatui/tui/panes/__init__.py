"""The five panes of the console: each shows one part of the Snapshot and holds no state worth saving."""
