from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from somatui.paths import SOCKET_PATH_LIMIT, Paths, PathsError, make_private, private_umask


def test_a_named_home_holds_everything(tmp_path: Path) -> None:
    paths = Paths.for_profile("practice", tmp_path)
    places = paths.listing()
    socket = places.pop("socket")
    assert all(place.is_relative_to(tmp_path) for place in places.values())
    assert socket.is_relative_to(tmp_path) or len(str(paths.profile_dir / "agent.sock")) > SOCKET_PATH_LIMIT
    assert paths.journal == tmp_path / "state" / "profiles" / "practice" / "journal.sqlite3"


def test_the_environment_names_a_home_where_no_flag_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOMATUI_HOME", str(tmp_path / "a"))
    assert Paths.for_profile("x").home == tmp_path / "a"
    assert Paths.for_profile("x", tmp_path / "b").home == tmp_path / "b"


def test_a_relative_home_is_made_absolute_so_that_a_detached_agent_finds_it() -> None:
    assert Paths.for_profile("x", Path("here")).home == Path.cwd() / "here"


def test_a_tilde_in_a_home_means_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Paths.for_profile("x", Path("~/soma")).home == tmp_path / "soma"


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has folders of its own")
def test_xdg_folders_are_honoured_and_relative_ones_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOMATUI_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    paths = Paths.for_profile("x")
    assert paths.config_dir == tmp_path / "xdg" / "somatui"
    assert paths.state_dir == tmp_path / ".local" / "state" / "somatui"
    assert paths.cache_dir == tmp_path / ".cache" / "somatui"


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has folders of its own")
def test_without_home_the_password_database_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SOMATUI_HOME", "HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert Paths.for_profile("x").state_dir.is_relative_to(pwd.getpwuid(os.geteuid()).pw_dir)


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has folders of its own")
def test_a_user_without_any_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SOMATUI_HOME", "HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 4_242_424)
    with pytest.raises(PathsError, match="set HOME, or name a place with --home"):
        Paths.for_profile("x")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "-x", "a" * 65, "a\nb"])
def test_a_profile_name_cannot_leave_its_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(PathsError, match="profile's name"):
        Paths.for_profile(name, tmp_path)


def test_a_long_path_moves_the_socket_to_a_short_private_folder(tmp_path: Path) -> None:
    deep = Paths.for_profile("x", tmp_path / ("d" * 90))
    assert len(os.fsencode(deep.socket)) <= SOCKET_PATH_LIMIT
    assert deep.socket.parent.name == f"somatui-{os.geteuid()}"
    assert deep.socket != Paths.for_profile("y", tmp_path / ("d" * 90)).socket
    assert deep.socket == Paths.for_profile("x", tmp_path / ("d" * 90)).socket


def test_folders_are_made_for_their_owner_alone(tmp_path: Path) -> None:
    paths = Paths.for_profile("x", tmp_path / "home").create()
    for folder in (paths.config_dir, paths.profile_dir, paths.jobs_dir, paths.leases_dir):
        assert folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_others_may_write_is_refused(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    with pytest.raises(PathsError, match="chmod 700"):
        make_private(shared)


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(PathsError, match="in the way"):
        Paths.for_profile("x", tmp_path).create()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc, where nobody can make folders")
def test_an_unwritable_place_is_one_sentence_with_the_cure() -> None:
    with pytest.raises(PathsError, match="choose a writable place with --home"):
        make_private(Path("/proc/self/somatui"))


def test_the_umask_keeps_new_files_private(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        private_umask()
        (tmp_path / "file").write_text("x")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o077 == 0


def test_finding_paths_imports_nothing_heavy() -> None:
    code = "import sys, somatui.paths, somatui.config; print(*sorted(m.split('.')[0] for m in sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"platformdirs", "tomlkit", "asyncio", "textual", "numpy", "torch"} & set(loaded)
