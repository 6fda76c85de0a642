"""`somatui vault`: make, open, lock, fill, copy and restore the place where the profile's secrets are."""

from __future__ import annotations

import argparse
import base64
from pathlib import Path
from typing import Any

from somatui.cli import asked, importing, live
from somatui.cli.options import Arguments, Verb, paths_of
from somatui.cli.output import Answer, fields
from somatui.cli.problem import DONE, FAILED, Problem

OPENERS = {
    "file": "its passphrase",
    "secret-service": "its passphrase, and the Secret Service without typing",
    "keychain": "its passphrase, and the Keychain without typing",
    "pass": "its passphrase, and pass without typing",
}
KINDS = ("auto", "secret-service", "keychain", "pass", "file")


def status(args: Arguments) -> Answer:
    """Whether there is a vault, whether it is open, and what opens it."""
    paths = paths_of(args)
    said = live.call(args, "vault.status") if live.is_running(paths) else _without_agent(args)
    return _shown(said, DONE if not said["problem"] else FAILED)


def create(args: Arguments) -> Answer:
    """Make the vault."""
    words = asked.passphrase(args, "passphrase", "A passphrase for the vault: ", twice=True)
    said = live.ask(args, "vault.create", passphrase=words, backend=args.keep_in)
    return _shown(said, before="The vault is made and open. Keep the passphrase: without it no copy opens.")


def unlock(args: Arguments) -> Answer:
    """Open the vault."""
    _there(args)
    if args.by_keyring:
        return _shown(live.call(args, "vault.unlock"), before="The vault is open.")
    words = asked.passphrase(args, "passphrase", "Passphrase: ")
    return _shown(live.call(args, "vault.unlock", passphrase=words), before="The vault is open.")


def _there(args: Arguments) -> None:
    """See that there is a vault before anybody types its passphrase. Raises Problem."""
    said = live.ask(args, "vault.status")
    if not said["exists"]:
        raise Problem(said["why"])


def lock(args: Arguments) -> Answer:
    """Forget the key that opens the vault."""
    if not live.is_running(paths_of(args)):
        from somatui.vault.file import FileVault
        from somatui.vault.held import Held, kernel_keyring

        path = paths_of(args).vault
        if path.exists():
            FileVault.open(path, Held(kernel_keyring())).lock()
        return _locked(_without_agent(args))
    return _locked(live.call(args, "vault.lock"))


def _locked(said: dict[str, Any]) -> Answer:
    return _shown(said, before="The vault is locked." if said["exists"] else "There is nothing to lock.")


def keep(args: Arguments) -> Answer:
    """Keep a secret."""
    given = asked.value(args, "value", f"{args.name}: ")
    said = live.ask(args, "vault.set", name=args.name, value_b64=base64.b64encode(given).decode())
    return Answer(said, f"The vault keeps {args.name}.")


def remove(args: Arguments) -> Answer:
    """Forget a secret."""
    from somatui.cli.acting import confirm
    from somatui.domain.secret_names import MODEL_KEY

    warning = f"{args.name} is gone for good then, except from copies of the vault."
    if args.name.startswith(MODEL_KEY):
        warning += " A model that is committed and never revealed loses half of its stake."
    confirm(warning, args, args.name)
    return Answer(live.ask(args, "vault.remove", name=args.name), f"The vault has forgotten {args.name}.")


def names(args: Arguments) -> Answer:
    """The names of all secrets."""
    found = live.ask(args, "vault.list")["names"]
    return Answer({"ok": True, "names": found}, "\n".join(found) or "The vault is empty.")


def passphrase(args: Arguments) -> Answer:
    """Change the passphrase."""
    _there(args)
    old = asked.passphrase(args, "passphrase", "The passphrase as it is: ")
    new = asked.passphrase(args, "new-passphrase", "The new passphrase: ", twice=True)
    said = live.ask(args, "vault.passphrase", old=old, new=new)
    return _shown(said, before="The passphrase is changed. Copies made before open with the old one.")


def rotate(args: Arguments) -> Answer:
    """A new data key."""
    _there(args)
    words = asked.passphrase(args, "passphrase", "Passphrase: ")
    return _shown(live.ask(args, "vault.rotate", passphrase=words), before="Everything is sealed with a new key.")


def export(args: Arguments) -> Answer:
    """An encrypted copy."""
    _there(args)
    if args.file.exists():
        raise Problem(f"{args.file} exists already: name a file that does not.")
    words = asked.passphrase(args, "passphrase", "Passphrase: ")
    said = live.ask(args, "vault.export", path=str(args.file.absolute()), passphrase=words)
    text = f"{said['path']} is an encrypted copy; it opens with the vault's passphrase of now."
    return Answer({"ok": True} | said, text)


def restore(args: Arguments) -> Answer:
    """Put a copy in the vault's place."""
    if not args.file.is_file():
        raise Problem(f"There is no file {args.file}: name a copy that somatui vault export has written.")
    words = asked.passphrase(args, "passphrase", "The copy's passphrase: ")
    file = args.file.absolute()
    if live.is_running(paths_of(args)):
        said = live.call(args, "vault.restore", path=str(file), passphrase=words)
    else:
        said = _restored_here(args, file, words)
    text = "The copy is in place; what was there lies beside it, encrypted as it was."
    if said["lacks"]:
        changes = "change" if said["lacks"] == 1 else "changes"
        text += f" It lacks the last {said['lacks']} {changes} made to the vault."
    return _shown(said, before=text)


def _restored_here(args: Arguments, file: Path, words: str) -> dict[str, Any]:
    """Restore without an agent: it does not start with a vault that is damaged."""
    from somatui.agent.lease import profile_lease
    from somatui.hardening import harden_process
    from somatui.vault.file import FileVault

    paths = paths_of(args).create()
    if paths.passphrase.exists():
        raise Problem("The practice profile's vault cannot be replaced: practice reset makes a new one.", FAILED)
    harden_process()
    lease = profile_lease(paths.agent_lock, paths.profile)
    try:
        vault, lacks = FileVault.restore(file, paths.vault, words)
        vault.lock()
    finally:
        lease.release()
    return _without_agent(args) | {"lacks": lacks}


def _without_agent(args: Arguments) -> dict[str, Any]:
    """What can be said of a vault that nobody has open."""
    from somatui.vault import note as kept
    from somatui.vault.base import VaultError
    from somatui.vault.file import FileVault
    from somatui.vault.held import Held, kernel_keyring

    path = paths_of(args).vault
    known = kept.read(path)
    said: dict[str, Any] = {"exists": path.exists(), "locked": True, "backend": known.backend, "why": known.why}
    said |= {"cached": "", "copy_is_old": False, "problem": ""}
    if not path.exists():
        return said | {"backend": "", "why": "This profile has no vault: make one with somatui vault create."}
    try:
        vault = FileVault.open(path, Held(kernel_keyring()))
        return said | {"locked": vault.locked, "cached": vault.held_in, "copy_is_old": vault.copy_is_old}
    except VaultError as failure:
        return said | {"problem": str(failure)}


def _shown(said: dict[str, Any], status: int = DONE, before: str = "") -> Answer:
    state = "none" if not said["exists"] else "locked" if said["locked"] else "open"
    auto = said.get("auto_lock_s")
    text = fields(
        [
            ("vault", state),
            ("opened by", OPENERS.get(said["backend"], "")),
            ("because" if said["exists"] else "cure", said["why"]),
            ("key in", {"kernel": "the kernel's keyring", "agent": "the agent"}.get(said["cached"], "")),
            ("locks itself", f"after {auto} s" if auto else ""),
            ("old copy", said.get("copy_sentence") or ("yes" if said["copy_is_old"] else "")),
            ("waits for it", said.get("waits", "")),
            ("problem", said["problem"]),
        ]
    )
    return Answer({"ok": status == DONE} | said, "\n".join(part for part in (before, text) if part), status)


def _passphrase(parser: argparse.ArgumentParser) -> None:
    asked.descriptor_option(parser, "passphrase", "the passphrase")


def _create(parser: argparse.ArgumentParser) -> None:
    _passphrase(parser)
    parser.add_argument("--keep-in", choices=KINDS, default="auto", help="what opens it besides the passphrase")


def _unlock(parser: argparse.ArgumentParser) -> None:
    _passphrase(parser)
    parser.add_argument("--by-keyring", action="store_true", help="use the key that a keyring keeps")


def _both(parser: argparse.ArgumentParser) -> None:
    _passphrase(parser)
    asked.descriptor_option(parser, "new-passphrase", "the new passphrase")


def _name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="for instance hf/token")


def _set(parser: argparse.ArgumentParser) -> None:
    _name(parser)
    asked.descriptor_option(parser, "value", "the secret")


def _remove(parser: argparse.ArgumentParser) -> None:
    _name(parser)
    parser.add_argument("--yes", "-y", action="store_true", help="do it without asking")


def _file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", type=Path)
    _passphrase(parser)


VERBS = (
    Verb("status", "Show whether the vault is open and what opens it.", "somatui vault status --json", status),
    Verb("create", "Make the vault of a profile.", "somatui vault create --profile testnet", create, _create),
    Verb("unlock", "Open the vault.", "somatui vault unlock --profile testnet", unlock, _unlock),
    Verb("lock", "Lock the vault now.", "somatui vault lock", lock),
    Verb("set", "Keep a secret, typed without echo or from a descriptor.", "somatui vault set hf/token", keep, _set),
    Verb("remove", "Forget a secret.", "somatui vault remove hf/token", remove, _remove),
    Verb("list", "List the names of all secrets.", "somatui vault list", names),
    Verb("passphrase", "Change the passphrase.", "somatui vault passphrase", passphrase, _both),
    Verb("rotate", "Seal everything with a new data key; also: take an old copy for good.", "somatui vault rotate",
         rotate, _passphrase),
    Verb("export", "Write an encrypted copy of the vault.", "somatui vault export vault-copy.json", export, _file),
    Verb("restore", "Put a copy in the vault's place.", "somatui vault restore vault-copy.json", restore, _file),
    Verb("import-env", "Move what a quickstart's .env holds into vault and settings.", "somatui vault import-env .env",
         importing.import_env, importing.options),
)  # fmt: skip
