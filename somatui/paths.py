"""Where somatui keeps things: every file and folder of a profile, private to their owner.

It decides names and makes folders; what stands in the files is their owners' affair.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shlex
import shutil
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

HOME_VARIABLE = "SOMATUI_HOME"
SOCKET_PATH_LIMIT = 100
"""Bytes a unix socket's path may have: Linux stops at 107, macOS at 103."""

_PROFILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class PathsError(Exception):
    """A folder cannot be found, made or trusted; the text is one sentence with the cure."""


def private_umask() -> None:
    """Make everything this process creates unreadable for others; the first call of every entry point."""
    os.umask(0o077)


def make_private(folder: Path) -> Path:
    """Create `folder` (and its parents) with mode 0700, or check that the existing one is ours alone to write.

    Raises PathsError when it cannot be made, is not a folder, belongs to somebody else or others may write to it.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
    except OSError as failure:
        raise PathsError(_folder_sentence(folder, failure)) from failure
    if found.st_uid != os.geteuid():
        raise PathsError(
            f"{folder} belongs to another user: choose another place with --home or {HOME_VARIABLE}, "
            "or run as its owner."
        )
    if stat.S_IMODE(found.st_mode) & 0o022:
        raise PathsError(f"Others may write to {folder}: run chmod 700 on it, or choose another place with --home.")
    return folder


def _folder_sentence(folder: Path, failure: OSError) -> str:
    if failure.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk that holds {folder} is full: free some space, or choose another place with --home."
    if failure.errno in (errno.ENOTDIR, errno.EEXIST):
        return f"{folder} is in the way of a folder: move that file, or choose another place with --home."
    reason = (failure.strerror or str(failure)).lower()
    return f"The folder {folder} cannot be made ({reason}): choose a writable place with --home or {HOME_VARIABLE}."


@dataclass(frozen=True, slots=True)
class Paths:
    """The places of one profile. Nothing is created by naming it; `create` makes the folders."""

    profile: str
    config_dir: Path
    state_dir: Path
    cache_dir: Path
    home: Path | None = None

    @classmethod
    def for_profile(cls, name: str, home: Path | None = None) -> Paths:
        """The places of profile `name`: under `home`, else under $SOMATUI_HOME, else in the XDG folders.

        Raises PathsError for a name that could leave its folder and where there is no home folder at all.
        """
        if not _PROFILE_NAME.fullmatch(name):
            raise PathsError(
                f"A profile's name has 1 to 64 letters, digits, dots, dashes or underscores and begins with a letter "
                f"or digit; {name!r} does not."
            )
        chosen = home if home is not None else _home_from_environment()
        if chosen is None:
            return cls(name, *_user_folders())
        root = Path(os.path.abspath(_expanded(chosen)))
        return cls(name, root / "config", root / "state", root / "cache", root)

    @property
    def config_file(self) -> Path:
        """The operator's settings, TOML."""
        return self.config_dir / "config.toml"

    @property
    def profile_dir(self) -> Path:
        """Everything of this profile that must outlive a reboot."""
        return self.state_dir / "profiles" / self.profile

    @property
    def journal(self) -> Path:
        """The agent's journal: intents, facts, money."""
        return self.profile_dir / "journal.sqlite3"

    @property
    def vault(self) -> Path:
        """The encrypted vault."""
        return self.profile_dir / "vault.json"

    @property
    def passphrase(self) -> Path:
        """The practice vault's passphrase; no other profile has this file."""
        return self.profile_dir / "passphrase"

    @property
    def agent_lock(self) -> Path:
        """Held by the one agent of this profile."""
        return self.profile_dir / "agent.lock"

    @property
    def agent_log(self) -> Path:
        """What the agent has to say."""
        return self.profile_dir / "agent.log"

    @property
    def agent_pid(self) -> Path:
        """The agent's process id."""
        return self.profile_dir / "agent.pid"

    @property
    def jobs_dir(self) -> Path:
        """One folder per job: its events, its log, what it made."""
        return self.profile_dir / "jobs"

    @property
    def network_dir(self) -> Path:
        """The practice network's ledger, objects and address card."""
        return self.state_dir / "practice"

    @property
    def leases_dir(self) -> Path:
        """One lease per wallet address, shared by all profiles."""
        return self.state_dir / "leases"

    @property
    def weights_cache(self) -> Path:
        """Downloaded models; may be deleted at any time."""
        return self.cache_dir / "weights"

    @property
    def seeds_cache(self) -> Path:
        """Models that practice networks begin with, once trained; may be deleted at any time."""
        return self.cache_dir / "seeds"

    @property
    def socket(self) -> Path:
        """The agent's socket: in the profile's folder, or in a private folder of /tmp where that path is too long.

        The second place does not follow TMPDIR: agent and console may run under different ones.
        """
        beside = self.profile_dir / "agent.sock"
        if len(os.fsencode(beside)) <= SOCKET_PATH_LIMIT:
            return beside
        digest = hashlib.sha256(os.fsencode(beside)).hexdigest()[:20]
        return Path("/tmp") / f"somatui-{os.geteuid()}" / f"{digest}.sock"

    def create(self) -> Paths:
        """Make the profile's folders, 0700. Raises PathsError."""
        for folder in (self.config_dir, self.state_dir, self.profile_dir, self.jobs_dir, self.leases_dir):
            make_private(folder)
        make_private(self.socket.parent)
        return self

    def options(self) -> tuple[str, ...]:
        """How these places are named on a command line."""
        where = () if self.home is None else ("--home", str(self.home))
        return ("--profile", self.profile, *where)

    def listing(self) -> dict[str, Path]:
        """Every place by name, in reading order, for `somatui paths`."""
        names = (
            "config_file", "profile_dir", "journal", "vault", "agent_log", "jobs_dir",
            "socket", "network_dir", "leases_dir", "weights_cache", "seeds_cache",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names}


def program() -> str:
    """How this very program is called: by name where PATH leads to it, else by the path it was called with."""
    called = sys.argv[0]
    if Path(called).name == "__main__.py":
        return f"{shlex.quote(sys.executable)} -m somatui"
    found = shutil.which("somatui")
    same = found is not None and Path(called).exists() and Path(found).samefile(called)
    return "somatui" if same else shlex.quote(called)


def command(paths: Paths) -> str:
    """How a command for these places begins where it is typed: this program, and --home where no variable names it."""
    named = paths.home is not None and paths.home != Paths.for_profile(paths.profile).home
    return f"{program()} --home {shlex.quote(str(paths.home))}" if named else program()


def _home_from_environment() -> Path | None:
    value = os.environ.get(HOME_VARIABLE, "")
    return Path(value) if value else None


def _user_folders() -> tuple[Path, Path, Path]:
    if sys.platform == "darwin":
        import platformdirs

        support = Path(platformdirs.user_data_dir("somatui", appauthor=False))
        return support, support, Path(platformdirs.user_cache_dir("somatui", appauthor=False))
    return (
        user_folder("XDG_CONFIG_HOME", ".config") / "somatui",
        user_folder("XDG_STATE_HOME", ".local/state") / "somatui",
        user_folder("XDG_CACHE_HOME", ".cache") / "somatui",
    )


def user_folder(variable: str, fallback: str) -> Path:
    """The folder that an XDG variable names, else `fallback` in the home folder; relative ones count as not set."""
    value = os.environ.get(variable, "")
    return Path(value) if os.path.isabs(value) else _user_home() / fallback


def _user_home() -> Path:
    home = os.environ.get("HOME", "")
    if os.path.isabs(home):
        return Path(home)
    import pwd

    try:
        return Path(pwd.getpwuid(os.geteuid()).pw_dir)
    except KeyError:
        raise PathsError(
            f"No home folder is known: set HOME, or name a place with --home or {HOME_VARIABLE}."
        ) from None


def _expanded(path: Path) -> Path:
    text = str(path)
    return _user_home() / text[2:] if text.startswith("~/") else _user_home() if text == "~" else path
