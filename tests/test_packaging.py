"""The checkout stands alone: pins are complete, no registry is named, the README's lines are what they say."""

from __future__ import annotations

import re
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def pins() -> dict[str, str]:
    """Every pinned package that this interpreter and machine would take, by canonical name."""
    found = {}
    for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate():
            found[canonicalize_name(requirement.name)] = str(requirement.specifier).removeprefix("==")
    return found


def needed(requirements: list[str], seen: dict[tuple[str, str], None], extra: str = "") -> None:
    """Add every package that these requirements lead to, by what the installed ones say of themselves."""
    for text in requirements:
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
            continue
        for wanted in ("", *sorted(requirement.extras)):
            key = (canonicalize_name(requirement.name), wanted)
            if key in seen:
                continue
            seen[key] = None
            try:
                further = metadata.requires(requirement.name)
            except metadata.PackageNotFoundError:
                continue
            needed(further or [], seen, wanted)


def test_every_direct_and_indirect_dependency_is_pinned() -> None:
    seen: dict[tuple[str, str], None] = {}
    needed(PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"], seen)
    assert len(seen) > 100
    assert {name for name, _ in seen} <= pins().keys()


def test_a_pin_is_a_name_and_a_version_and_nothing_else() -> None:
    for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines():
        assert re.fullmatch(r"[a-z0-9-]+==[0-9][A-Za-z0-9.]*( ; .+)?", line), line
    assert pins()["torch"] == "2.13.0"


def test_no_registry_and_no_lock_file_is_committed() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    names = listed.stdout.splitlines()
    assert not [n for n in names if n.endswith((".lock", "pip.conf"))]
    registry = re.compile("|".join(("index" + "-url *[= ] *[a-z]+://", "/" + "simple/", "files.python" + "hosted")))
    for name in names:
        if not name.startswith("tests/golden/") and (ROOT / name).suffix in {
            ".py",
            ".md",
            ".toml",
            ".txt",
            ".proto",
            "",
        }:
            assert not registry.search((ROOT / name).read_text("utf-8")), name


def test_the_readme_has_two_one_line_commands_that_pin_what_they_install() -> None:
    lines = [x for x in (ROOT / "README.md").read_text("utf-8").splitlines() if x.startswith("python3 -m venv ")]
    assert len(lines) == 2
    assert all("-c constraints.txt" in line for line in lines)
    assert lines[0].endswith("somatui practice run")
    assert lines[1].endswith("tests/check.py")


def test_every_link_and_picture_in_the_documents_exists() -> None:
    for document in ("README.md", "CONTRIBUTING.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / document).read_text("utf-8")):
            assert (ROOT / target).exists(), f"{document}: {target}"
