"""Child processes that compute, fetch and store: entry points and the lines they speak with their parent."""

from __future__ import annotations

import os

# Several workers share few processors. OpenMP's threads wait for each other by spinning, which then takes the time from
# the very thread they wait for: a training step on two busy cores took seven times as long. Read when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
