"""The console: a Textual view over the agent's pushed picture. It holds no key, no state worth saving and no rules."""

from __future__ import annotations

import os

os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")
os.environ.setdefault("TEXTUAL_SMOOTH_SCROLL", "0")
