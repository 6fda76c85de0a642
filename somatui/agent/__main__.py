"""`python -m somatui.agent`: see main.py."""

from __future__ import annotations

import logging
import os
import sys

from somatui.agent.main import run

if __name__ == "__main__":
    status = run()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
