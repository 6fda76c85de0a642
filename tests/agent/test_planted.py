"""Marked secrets go in, are used and misused; afterwards none is anywhere, in no spelling, not even in the vault."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from somatui.agent import mnemonics
from somatui.agent.client import AgentError
from tests.agent.lone import Lone, lone
from tests.agent.traces import Search, Watch, spellings

MNEMONIC = "legal winner thank year wave sausage worth useful legal winner thank yellow"  # pragma: allowlist secret
WORDS, NEW, WRONG = (f"planted {name} Zq7/+ä" for name in ("passphrase", "newpassphrase", "wrongpassphrase"))
STORE = """
[profiles.own.store]
endpoint = "http://127.0.0.1:9"
bucket = "b"
public_url = "http://127.0.0.1:9/b"
"""
linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems have no /proc to look into")


def marked(name: str) -> bytes:
    return hashlib.sha256(f"planted {name}".encode()).digest()


PLANTED: dict[str, bytes] = {
    "passphrase": WORDS.encode(),
    "new passphrase": NEW.encode(),
    "wrong passphrase": WRONG.encode(),
    "wallet key": marked("wallet key"),
    "mnemonic": MNEMONIC.encode(),
    "key of the mnemonic": mnemonics.seed_of(MNEMONIC),
    "store access": b"AKPLANTED" + marked("access").hex()[:12].upper().encode(),
    "store secret": base64.b64encode(marked("secret"))[:40],
    "hf token": b"hf_" + base64.b64encode(marked("hf")).replace(b"+", b"a").replace(b"/", b"b")[:34],
    "webhook": b"services/T0/" + marked("hook").hex()[:24].encode(),
    "rpc auth": b"planted-node-password-" + marked("auth").hex()[:8].encode(),
    "model key": marked("model key"),
    "key that is no key": b"planted-not-a-key-" + marked("typo").hex()[:20].encode(),
}


@pytest.mark.parametrize("how", sorted(spellings(marked("x")) | spellings(WORDS.encode())))
def test_the_search_finds_each_spelling(how: str, tmp_path: Path) -> None:
    for secret in (marked("x"), WORDS.encode()):
        if how in (spelt := spellings(secret)):
            (tmp_path / "left").write_bytes(b"before " + spelt[how] + b" after")
            search = Search({"it": secret})
            assert search.files([tmp_path]) == 1
            assert how in {found for _, _, found in search.found}
    whole = Search({"it": WORDS.encode()})
    whole.look("a longer text", base64.b64encode(b"x" + WORDS.encode() + b"yz"))
    assert whole.found


def use(own: Lone) -> None:
    """Everything that takes or needs a secret, right and wrong, so that each has its chance to be left somewhere."""

    def ask(method: str, **params: Any) -> None:
        with contextlib.suppress(AgentError):
            own.call(method, **params)

    def keep(name: str, value: bytes) -> None:
        own.call("vault.set", name=name, value_b64=base64.b64encode(value).decode())

    own.call("vault.create", passphrase=WORDS)
    own.call("wallet.import", text=PLANTED["wallet key"].hex(), label="one")
    own.call("wallet.import", text=MNEMONIC, label="two")
    keep("store/own/access", PLANTED["store access"])
    keep("store/own/secret", PLANTED["store secret"])
    keep("hf/token", PLANTED["hf token"])
    keep("webhook/url", b"http://127.0.0.1:9/" + PLANTED["webhook"])
    keep("rpc/own/auth", b"Basic me:" + PLANTED["rpc auth"])
    keep("model-key/x", PLANTED["model key"])
    typo = PLANTED["key that is no key"].decode()
    ask("wallet.import", text=typo)
    ask("wallet.test", text=MNEMONIC.replace("yellow", "year") + " " + typo)
    ask("wallet.import", text=PLANTED["wallet key"].hex()[:-1] + "x")
    ask("vault.set", name=typo + "!", value_b64=typo)
    ask("vault.remove", name=typo)
    ask("vault.unlock", passphrase=WRONG)
    ask("vault.unlock", passphrase=[WRONG])
    ask("vault.unlock", passphrase=WRONG, word=WRONG)
    ask("vault.unlock", **{WRONG: 1})
    ask("vault.passphrase", old=WORDS, new=NEW)
    ask("vault.export", path=str(own.paths.profile_dir / "copy.json"), passphrase=NEW)
    store = {"endpoint": "http://127.0.0.1:9", "bucket": "b", "public_url": "http://127.0.0.1:9/b"}
    ask("check.storage", store=store)
    ask("check.huggingface")
    ask("check.webhook")
    ask("check.network", rpc_url="http://127.0.0.1:9", auth="Basic me:" + PLANTED["rpc auth"].decode())
    ask("act", action="publish", args={"label": "x", "weights": __file__}, key="k")
    ask("refresh")


def type_it(own: Lone, out: Path, *words: str, given: bytes, descriptor: str) -> None:
    """A command line with a secret on a descriptor; all that it says, tracebacks too, goes into a file."""
    read, write = os.pipe()
    os.write(write, given)
    os.close(write)
    where = ("--profile", "own", "--home", str(own.paths.home))
    with out.open("ab") as said:
        subprocess.run(
            [sys.executable, "-m", "somatui", *words, descriptor, str(read), *where],
            stdout=said, stderr=said, pass_fds=(read,), env=os.environ | {"SOMATUI_DEBUG": "1"}, check=False,
        )  # fmt: skip
    os.close(read)


@linux
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_planted_secrets_are_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    (scratch := tmp_path / "scratch").mkdir()
    environment = {"TMPDIR": str(scratch), "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "hf")}
    search = Search(PLANTED)
    with lone(tmp_path / "h", STORE) as own:
        assert own.start(**environment) == b"ready"
        with Watch(search) as watch:
            use(own)
            said = tmp_path / "said"
            type_it(own, said, "vault", "unlock", given=WRONG.encode(), descriptor="--passphrase-fd")
            type_it(own, said, "vault", "set", "hf/token", given=PLANTED["hf token"], descriptor="--value-fd")
            own.call("vault.lock")
            own.stop()
            assert own.start(given=NEW.encode(), **environment) == b"ready"
            core = [line for line in Path(f"/proc/{own.pid}/limits").read_text().splitlines() if "core" in line]
            own.kill()
        assert core[0].split()[4:6] == ["0", "0"]
        assert own.pid in watch.seen and len(watch.seen) > 3
        assert search.files([tmp_path]) > 5
        assert "Traceback" in own.paths.agent_log.read_text(), "no traceback was made that could have held one"
    assert not search.found
