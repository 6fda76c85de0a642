"""The front door of `somatui` and `python -m somatui`: looks at the Python it runs on, then leaves all else to cli/.

Parses on every Python since 3.6, so that an old one is told what to do instead of showing a syntax error.
"""

import sys

OLDEST = (3, 11)


def run() -> int:
    """Run the command line and give its exit status; 1 with one sentence where this Python is too old."""
    if sys.version_info < OLDEST:
        wanted, found = (".".join(str(part) for part in version[:2]) for version in (OLDEST, sys.version_info))
        sys.stderr.write(
            f"somatui needs Python {wanted} or newer and this is {found}: make its environment with a newer one, "
            "for instance python3.12 -m venv .venv\n"
        )
        return 1
    from somatui.cli.main import entry

    return entry()


if __name__ == "__main__":
    sys.exit(run())
