"""`somatui network`: a node is looked at before anything is written, and what is written is what was found."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from somatui.cli import main as front
from somatui.config import load
from somatui.paths import Paths
from somatui.practice.card import NetworkInfo
from tests.chain.nets import gate_beside, networks
from tests.cli.shell import a_pipe, one_sentence

pytestmark = pytest.mark.slow

DEAD = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def nets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[NetworkInfo, NetworkInfo]]:
    with networks(tmp_path_factory.mktemp("nets"), (1, 2)) as (first, second):
        yield first, second


class Shell:
    """The command line in this process, on a home of its own."""

    def __init__(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.home, self._capsys = home, capsys

    def __call__(self, *words: str) -> tuple[int, str, str]:
        status = front.entry([*words, "--home", str(self.home)])
        said = self._capsys.readouterr()
        return status, said.out, said.err

    def json(self, *words: str) -> Any:
        return json.loads(self(*words, "--json")[1])

    def text(self) -> str:
        file = self.home / "config" / "config.toml"
        return file.read_text() if file.exists() else ""


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(tmp_path / "home", capsys)


def last(err: str) -> str:
    return err.splitlines()[-1] + "\n"


def test_the_three_known_networks_are_listed_and_one_is_used(shell: Shell) -> None:
    status, out, _ = shell("network", "list")
    assert status == 0 and [line.split()[0] for line in out.splitlines()[1:]] == ["*", "localnet", "testnet"]
    assert shell.json("network", "use", "testnet")["profile"]["rpc_url"].startswith("https://")
    assert [p["name"] for p in shell.json("network", "list")["profiles"] if p["used"]] == ["testnet"]
    status, out, err = shell("network", "use", "ops")
    assert status == 1 and out == "" and one_sentence(err) and "network add ops" in err


def test_a_profile_that_cannot_be_read_is_listed_with_its_reason(shell: Shell) -> None:
    shell("network", "use", "practice")
    with (shell.home / "config" / "config.toml").open("a") as file:
        file.write("[profiles.ops]\nnetwork = 'custom'\n")
    found = shell.json("network", "list")["profiles"]
    assert "needs rpc_url" in found[-1]["error"] and len(found) == 4


def test_a_node_is_looked_at_and_its_network_written_down(shell: Shell, nets: tuple[NetworkInfo, NetworkInfo]) -> None:
    one, other = nets
    done = shell.json("network", "add", "ops", "--rpc", one.rpc_url, "--rpc-2", one.rpc_url, "--faucet", one.faucet_url)
    assert done["ok"] and done["facts"]["chain"] == "practice" and done["facts"]["protocol_version"] == 5
    assert {line["name"] for line in done["lines"]} >= {"node", "chain", "versions", "faucet"}
    written = load(Paths.for_profile("ops", shell.home)).profile
    assert (written.network, written.rpc_url, written.rpc_url_2) == ("custom", one.rpc_url, one.rpc_url)
    assert written.chain == done["facts"]["chain_id"] == done["profile"]["chain"]
    before = shell.text()
    status, _, err = shell("network", "add", "ops", "--rpc", other.rpc_url)
    assert status == 1 and "set up for" in err and shell.text() == before
    status, _, err = shell("network", "add", "two", "--rpc", one.rpc_url, "--rpc-2", other.rpc_url)
    assert status == 1 and "belongs to another network" in err and shell.text() == before
    status, out, _ = shell("network", "add", "ops", "--admin", one.admin_url)
    assert status == 0 and "ok: Chain practice" in out
    assert load(Paths.for_profile("ops", shell.home)).profile.admin_url == one.admin_url


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (("practice",), 2, "needs no adding"),
        (("ops",), 2, "Name the node"),
        (("ops", "--rpc", DEAD), 1, "nothing was written"),
        (("ops", "--rpc", "node.example"), 1, "https://"),
        (("ops", "--rpc", "https://me:pw@node.example"), 1, "password in it"),  # pragma: allowlist secret
        (("../ops", "--rpc", DEAD), 1, "A profile's name"),
    ],
)
def test_what_cannot_be_added_is_one_sentence_and_nothing_is_written(
    words: tuple[str, ...], status: int, says: str, shell: Shell
) -> None:
    ended, out, err = shell("network", "add", *words)
    assert (ended, out) == (status, "") and says in err and one_sentence(last(err))
    assert "profiles" not in shell.text()


def test_a_localnet_keeps_no_identifier_since_it_is_made_anew(
    shell: Shell, nets: tuple[NetworkInfo, NetworkInfo]
) -> None:
    for info in nets:
        assert shell("network", "add", "localnet", "--rpc", info.rpc_url)[0] == 0
        assert load(Paths.for_profile("localnet", shell.home)).profile.chain == ""


def test_credentials_go_with_the_look_and_where_there_is_no_vault_it_is_said(
    shell: Shell, nets: tuple[NetworkInfo, NetworkInfo]
) -> None:
    from somatui.cli.stop import stop_agent

    with gate_beside(nets[0].rpc_url, ("authorization", "Basic b3BzOm5vdC1zaG93bg==")) as url:
        status, _, err = shell("network", "add", "ops", "--rpc", url)
        assert status == 1 and "wants credentials" in err
        paths = Paths.for_profile("ops", shell.home)
        try:
            for words in (["--rpc", url], ["--admin", nets[0].admin_url]):
                given = ["--auth-fd", str(a_pipe(b"ops:not-shown\n"))]
                status, out, err = shell("network", "add", "ops", *words, *given)
                assert status == 1 and "are not kept" in out and "somatui vault set rpc/ops/auth" in out
                assert "not-shown" not in out + err + shell.text()
            snapshot = shell.json("status", "--profile", "ops")
        finally:
            stop_agent(paths)
        assert load(paths).profile.chain and load(paths).profile.admin_url == nets[0].admin_url
        assert "not-shown" not in json.dumps(snapshot) + paths.agent_log.read_text()
