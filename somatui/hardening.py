"""Keeps a process that holds secrets from leaving copies: private files, no core dumps, no reading by neighbours."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import sys

_PR_SET_DUMPABLE = 4


def harden_process() -> None:
    """Set umask 077, forbid core dumps and, on Linux, `ptrace` and `/proc` reading by other processes of the user."""
    os.umask(0o077)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
