"""Who imports what: read from the sources for direct imports, and from `sys.modules` of real processes for the rest."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "somatui"

HEAVY = frozenset({
    "arrgen", "boto3", "botocore", "datasets", "keyring", "numpy", "pandas", "pyarrow", "safetensors", "soma_models",
    "torch",
})  # fmt: skip
CHAIN = frozenset({"grpc", "google", "soma_sdk", "cryptography"})

ALLOWED: dict[str, frozenset[str]] = {
    "domain": frozenset(),
    "wire": frozenset({"base58"}),
    "config": frozenset({"tomlkit"}),
    "paths.py": frozenset({"platformdirs"}),
    "files.py": frozenset(),
    "hardening.py": frozenset(),
    "asking.py": frozenset(),
    "__main__.py": frozenset(),
    "chain": frozenset({"soma_sdk", "grpc", "google", "base58", "psutil"}),
    "vault": frozenset({"cryptography", "keyring", "secretstorage"}),
    "storage": frozenset({"boto3", "botocore"}),
    "corpora": frozenset({"datasets", "pyarrow", "rensa"}),
    "engine": frozenset({"torch", "numpy", "safetensors", "soma_models", "arrgen", "cryptography"}),
    "workers": frozenset({"torch", "numpy", "base58", "psutil", "cryptography", "safetensors", "pynvml"}),
    "agent": frozenset({"soma_sdk", "base58", "cryptography", "psutil", "mnemonic", "dotenv"}),
    "practice": frozenset({"grpc", "google", "aiohttp", "base58", "cryptography", "numpy", "arrgen"}),
    "tui": frozenset({"textual", "rich", "cairosvg", "segno"}),
    "cli": frozenset({"psutil", "cryptography", "segno"}),
}
"""The packages outside the standard library that each room may import at all."""


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room_of(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0]


def imported(tree: ast.AST) -> Iterator[str]:
    """The absolute names of everything imported anywhere in a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def loaded(module: str) -> set[str]:
    """Names of all modules in a fresh process that has imported `module` and nothing else."""
    code = f"import {module}, sys, json; sys.stdout.write(json.dumps(list(sys.modules)))"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COV")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


def tops(modules: set[str]) -> set[str]:
    return {m.partition(".")[0] for m in modules}


@pytest.mark.parametrize("room", sorted({room_of(f) for f in sources()} - {"__init__.py"}))
def test_a_room_imports_only_the_packages_it_may(room: str) -> None:
    assert room in ALLOWED, f"a new room: say in tests/test_imports.py what {room} may import"
    may = sys.stdlib_module_names | ALLOWED[room] | {"somatui"}
    for file in sources():
        if room_of(file) == room:
            names = tops(set(imported(ast.parse(file.read_text("utf-8")))))
            assert names <= may, f"{file.relative_to(ROOT)} imports {sorted(names - may)}"


def test_the_console_loads_nothing_heavy_before_its_first_paint() -> None:
    modules = loaded("somatui.tui.console")
    assert "textual" in modules
    assert not tops(modules) & (HEAVY | CHAIN)
    ours = {m.split(".")[1] for m in modules if m.startswith("somatui.")}
    assert ours <= {"tui", "domain", "config", "paths", "agent"}
    assert {m for m in modules if m.startswith("somatui.agent.")} <= {"somatui.agent.client"}


def test_the_consoles_first_frame_is_painted_before_textual_is_loaded() -> None:
    modules = loaded("somatui.tui.app")
    assert not tops(modules) & (HEAVY | CHAIN | {"textual", "rich", "asyncio", "tomllib"})
    assert {m.split(".")[1] for m in modules if m.startswith("somatui.")} <= {"tui", "paths"}


def test_the_agent_loads_nothing_that_belongs_to_a_worker_or_a_screen() -> None:
    assert not tops(loaded("somatui.agent.main")) & (HEAVY | {"textual"})


def test_the_agents_client_needs_the_standard_library_alone() -> None:
    modules = loaded("somatui.agent.client")
    assert not tops(modules) & (HEAVY | CHAIN | {"textual", "base58", "tomlkit", "platformdirs", "aiohttp", "psutil"})
    ours = {m for m in modules if m.startswith("somatui.agent.")}
    assert ours == {"somatui.agent.client"}
    assert {m.split(".")[1] for m in modules if m.startswith("somatui.")} <= {"agent", "domain", "config", "paths"}


def test_the_command_line_starts_without_anything_heavy() -> None:
    modules = loaded("somatui.cli.main")
    assert not tops(modules) & (HEAVY | CHAIN | {"textual", "aiohttp", "asyncio", "sqlite3", "tomlkit"})


def test_the_rules_need_the_standard_library_alone() -> None:
    names = ",".join(f"somatui.domain.{f.stem}" for f in (PACKAGE / "domain").glob("*.py") if f.stem != "__init__")
    modules = loaded(names)
    assert not tops(modules) & (HEAVY | CHAIN | {"textual", "asyncio", "socket", "sqlite3", "base58"})
    assert {m.split(".")[1] for m in modules if m.startswith("somatui.")} == {"domain"}


def test_every_module_says_what_it_is_for() -> None:
    for file in sources():
        assert ast.get_docstring(ast.parse(file.read_text("utf-8"))), f"{file.relative_to(ROOT)} has no docstring"


def test_modules_and_functions_stay_habitable() -> None:
    for file in sources():
        text = file.read_text("utf-8")
        assert len(text.splitlines()) <= 400, f"{file.relative_to(ROOT)} has more than 400 lines"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                assert length <= 60, f"{file.relative_to(ROOT)}:{node.lineno} {node.name} has {length} lines"


def test_an_old_python_can_read_the_front_door() -> None:
    for name in ("__init__.py", "__main__.py"):
        ast.parse((PACKAGE / name).read_text("utf-8"), feature_version=(3, 6))


def test_an_old_python_is_told_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import somatui.__main__ as front

    monkeypatch.setattr(front, "OLDEST", (3, 99))
    assert front.run() == 1
    assert capsys.readouterr().err.startswith("somatui needs Python 3.99 or newer and this is 3.")
