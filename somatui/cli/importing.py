"""`somatui vault import-env`: what a quickstart's `.env` holds, values masked; moved on a yes, deleted on another.

Reading and moving are the agent's; here are the questions and what is said.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from somatui.cli import live
from somatui.cli.options import Arguments
from somatui.cli.output import Answer, note
from somatui.cli.problem import REFUSED, Problem

TRACKED = (
    "git tracks {file}: its history keeps these values wherever it was pushed. Change the keys, take the file out with "
    "git rm --cached {file}, and name it in .gitignore."
)
EXPOSED = "Others on this machine can read {file}: who may have done so has the keys, so change them."


def import_env(args: Arguments) -> Answer:
    """Look, ask, move, ask, delete."""
    from somatui.cli.acting import confirm

    file = args.file.absolute()
    seen = live.ask(args, "env.look", path=str(file))
    moving = [item for item in seen["found"] if item["moves"]]
    warnings = [TRACKED] if seen["tracked_by_git"] else []
    warnings += [EXPOSED] if seen["exposed"] else []
    said = [w.format(file=args.file.name) for w in warnings]
    shown = "\n".join([*_listed(seen["found"]), *said])
    if args.dry_run:
        return Answer({"ok": bool(moving), "dry_run": True, "warnings": said} | seen, shown + "\nNothing was moved.")
    if not moving:
        note(shown)
        raise Problem(f"Nothing in {args.file} can be moved: correct what is named above.", REFUSED)
    many = f"{len(moving)} value{'s' if len(moving) != 1 else ''}"
    confirm(f"{shown}\n\n{many} go into vault and settings of this profile.", args)
    shred = not args.keep and (args.yes or _shred_too(args, seen["found"]))
    done = live.ask(args, "env.move", path=str(file), shred=shred, label=args.label)
    ends = {
        "kept": f"{args.file} still holds them in plain text: delete it, or run this again without --keep.",
        "cleaned": f"They are overwritten in {args.file}, which keeps what was not moved.",
        "deleted": f"{args.file} is overwritten and deleted.",
    }
    text = "\n".join(part for part in (f"{many} moved.", ends[done["file"]], done["copies"], *said) if part)
    return Answer({"ok": True, "warnings": said} | done, text)


def _shred_too(args: Arguments, found: list[dict[str, Any]]) -> bool:
    from somatui.cli.acting import confirm

    left = [item["name"] for item in found if not item["moves"]]
    what = f"keeps {', '.join(left)} alone" if left else "is overwritten and deleted"
    try:
        confirm(
            f"\n{args.file} {what} when they are moved. On a solid-state disk copies of the bytes may remain.", args
        )
    except Problem:
        return False
    return True


def _listed(found: list[dict[str, Any]]) -> list[str]:
    width = max((len(item["name"]) for item in found), default=0)
    lines = []
    for item in found:
        goes = f"  → {item['goes_to']}" if item["goes_to"] else "  stays"
        lines.append(f"{item['name'].ljust(width)}  {item['masked']}{goes}".rstrip())
        if item["problem"]:
            lines.append(f"{' ' * width}  {item['problem']}")
    return lines


def options(parser: argparse.ArgumentParser) -> None:
    """FILE and what to do with it."""
    parser.add_argument("file", metavar="FILE", type=Path, help="the .env of a quickstart")
    parser.add_argument("--keep", action="store_true", help="leave the file as it is")
    parser.add_argument("--label", metavar="NAME", default="", help="what to call the wallet in it")
    parser.add_argument("--yes", "-y", action="store_true", help="move and delete without asking")
    parser.add_argument("--dry-run", action="store_true", help="show what is in it and move nothing")
