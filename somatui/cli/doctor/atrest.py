"""Secrets at rest: who may read the profile, and what lies about in plain text. Contents are looked at, never told."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from somatui.cli.doctor.finding import Finding, Scene, made_private
from somatui.domain.report import Status

NAMES = re.compile(
    r"^\s*(?:export\s+)?(SOMA_SECRET_KEY|HF_TOKEN|S3_SECRET_ACCESS_KEY|S3_ACCESS_KEY_ID|AWS_SECRET_ACCESS_KEY)"
    r"\s*=\s*['\"]?[^\s'\"#]{6,}"
)
IN_HISTORY = re.compile(
    r"somaprivkey1[a-z0-9]{20,}|(?:SOMA_SECRET_KEY|HF_TOKEN|S3_SECRET_ACCESS_KEY|AWS_SECRET_ACCESS_KEY)=['\"]?[^\s$'\"]{6,}"
    r"|\bhf_[A-Za-z0-9]{20,}|--decryption-key[= ][^\s$]\S{15,}|\bsoma\s+wallet\s+import\s+[^\s/~.$-]\S{19,}"
)
HISTORIES = (".bash_history", ".zsh_history", ".local/share/fish/fish_history", ".python_history", ".history")
KEYSTORES = (".soma/soma_config/soma.keystore", ".soma/soma.keystore", ".soma/keystore.json")
MOST_BYTES = 8_000_000
MOST_FILES = 2_000


def privacy(scene: Scene) -> Iterator[Finding]:
    """Whether anybody else may look into the profile's folders and files."""
    open_to_others = [p for p in _ours(scene) if p.lstat().st_mode & 0o077 and not p.is_symlink()]
    for place in open_to_others[:5]:
        meaning = "another user of this machine can read what belongs to you"
        yield Finding(
            "privacy", "bad", f"others may look into {place}", meaning, f"chmod go-rwx {place}", made_private(place)
        )
    if len(open_to_others) > 5:
        cure = f"chmod -R go-rwx {scene.paths.profile_dir}"
        yield Finding("privacy", "bad", f"and into {len(open_to_others) - 5} more", "as above", cure)
    if not open_to_others:
        yield Finding("privacy", "ok", "nobody else may read the profile")


def _ours(scene: Scene) -> Iterator[Path]:
    paths = scene.paths
    for place in (paths.config_file, paths.profile_dir):
        if place.exists():
            yield place
    if paths.profile_dir.is_dir():
        for count, place in enumerate(sorted(paths.profile_dir.iterdir())):
            if count > MOST_FILES:
                return
            yield place


def dotenv(scene: Scene) -> Iterator[Finding]:
    """Files like `.env` with credentials in them, in the working folder, the home folder and one level below."""
    found = [(file, names) for file in _dotenv_files(scene) if (names := names_in(file))]
    for file, names in found:
        tracked = _tracked(file)
        shared = bool(file.stat().st_mode & 0o077)
        detail = f"{file} holds {', '.join(names)} in plain text" + (", and git tracks it" if tracked else "")
        if tracked:
            meaning = "they are in every clone of that repository, so they count as known"
            cure = f"make new ones, then git rm --cached {file}"
        else:
            meaning = "every program that you run can read them" + (", and so can other users" if shared else "")
            cure = f"somatui vault import-env {file}"
        status: Status = "bad" if tracked or shared or "SOMA_SECRET_KEY" in names else "warn"
        yield Finding(
            ".env files", status, detail, meaning, cure, made_private(file) if shared and not tracked else None
        )
    if not found:
        yield Finding(".env files", "ok", "none with credentials here")


def _dotenv_files(scene: Scene) -> Iterator[Path]:
    seen: set[Path] = set()
    for folder in (scene.folder, scene.home):
        for pattern in (".env", ".env.*", "*/.env"):
            for file in sorted(folder.glob(pattern))[:50]:
                known = file.resolve()
                if known not in seen and file.is_file():
                    seen.add(known)
                    yield file


def names_in(file: Path) -> list[str]:
    """Names of the credentials that have a value in a file of NAME=value lines."""
    names = (match[1] for line in _lines(file) if (match := NAMES.match(line)))
    return list(dict.fromkeys(names))


def _tracked(file: Path) -> bool:
    try:
        told = subprocess.run(
            [*("git", "-c", "core.fsmonitor=false", "-C", str(file.parent)),
             *("ls-files", "--error-unmatch", "--", file.name)],
            capture_output=True, timeout=5, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return False
    return told.returncode == 0


def keystore(scene: Scene) -> Iterator[Finding]:
    """The soma CLI's keystore, which is base64 in a plain file."""
    found = [scene.home / name for name in KEYSTORES if (scene.home / name).is_file()]
    for file in found:
        shared = bool(file.stat().st_mode & 0o077)
        meaning = "keys without a passphrase" + (", readable for every user" if shared else "")
        cure = f"bring the keys with somatui wallet import, then move {file} to where it is safe"
        fix = made_private(file) if shared else None
        yield Finding("soma keystore", "bad" if shared else "warn", f"{file} is in plain text", meaning, cure, fix)
    if not found:
        yield Finding("soma keystore", "ok", "none in plain text")


def history(scene: Scene) -> Iterator[Finding]:
    """Keys that were typed into a shell."""
    clean = True
    for name in HISTORIES:
        file = scene.home / name
        places = [n for n, line in enumerate(_lines(file), 1) if IN_HISTORY.search(line)]
        if places:
            clean = False
            where = ", ".join(map(str, places[:5])) + (" and more" if len(places) > 5 else "")
            meaning = "a secret was typed where it is kept and shown, so it counts as known"
            cure = "make a new key or token and take those lines out of the file"
            yield Finding("shell history", "bad", f"{file} has secrets in line {where}", meaning, cure)
    if clean:
        yield Finding("shell history", "ok", "no key in it")


def _lines(file: Path) -> list[str]:
    """A text file's lines, the last megabytes of a large one; none where it cannot be read."""
    try:
        with file.open("rb") as opened:
            size = opened.seek(0, 2)
            opened.seek(max(0, size - MOST_BYTES))
            return opened.read(MOST_BYTES).decode("utf-8", "replace").splitlines()
    except OSError:
        return []
