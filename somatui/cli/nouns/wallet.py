"""`somatui wallet`: addresses, coins and stakes; wallets made, imported, watched and chosen. Signing is the agent's."""

from __future__ import annotations

import argparse
import base64
import os
import sys
from pathlib import Path
from typing import Any

from somatui.cli import aside, asked, live
from somatui.cli.acting import perform
from somatui.cli.options import Arguments, Verb, paths_of
from somatui.cli.output import Answer, amount, fields, note, table
from somatui.cli.problem import FAILED, USAGE, Problem
from somatui.domain.ids import short
from somatui.hardening import harden_process

ROUNDS = 3
"""So often two words are asked back before the command gives up; the wallet is there all the same."""
SECRET = "a secret key in any form, or a wallet's words"


def show(args: Arguments) -> Answer:
    """Address, free, staked, bonded."""
    seen = live.snapshot(args)
    wallet = seen.wallet
    document = {
        "address": wallet.address,
        "label": wallet.label,
        "unlocked": wallet.unlocked,
        "watch_only": wallet.watch_only,
        "free_shannons": wallet.free_shannons,
        "staked_shannons": wallet.staked_shannons,
        "bonded_shannons": seen.bonded_shannons,
        "coins": len(wallet.coins),
        "stakes": wallet.stakes,
    }
    text = fields(
        [
            ("address", "0x" + wallet.address if wallet.address else "none yet"),
            ("label", wallet.label),
            ("key", "watch-only" if wallet.watch_only else "unlocked" if wallet.unlocked else "locked"),
            (
                "free",
                f"{amount(wallet.free_shannons, 9)} in {len(wallet.coins)} coin{'' if len(wallet.coins) == 1 else 's'}",
            ),
            ("staked", amount(wallet.staked_shannons, 9)),
            ("in bonds", amount(seen.bonded_shannons, 9)),
        ]
    )
    return Answer(document, text)


def coins(args: Arguments) -> Answer:
    """Every coin, the largest first."""
    found = sorted(live.snapshot(args).wallet.coins, key=lambda c: (-c.balance_shannons, c.id))
    rows = [(short(c.id), amount(c.balance_shannons, 9), c.role, str(c.version)) for c in found]
    return Answer({"coins": found}, table("coin >balance role >version", rows))


def listing(args: Arguments) -> Answer:
    """Every wallet of the profile."""
    said = live.ask(args, "wallet.list")
    rows = [
        (
            "●" if w["active"] else "",
            w["label"],
            f"0x{w['address']}",
            "watch-only" if w["watch_only"] else "words and key" if w["has_words"] else "key",
        )
        for w in said["wallets"]
    ]
    hint = (
        "\nThe vault is locked: which wallets have a key is not known for sure."
        if said["locked"] and said.get("vault", True)
        else ""
    )
    none = "No wallet yet: make one with somatui wallet new, or import one."
    return Answer(said, (table("use label address here", rows) if rows else none) + (hint if rows else ""))


def use(args: Arguments) -> Answer:
    """Another wallet from now on."""
    return perform(args, "use", words=(args.wallet,))


def new(args: Arguments) -> Answer:
    """A new wallet: its words are shown once and two of them asked back."""
    harden_process()
    if args.mnemonic_fd is not None:
        aside.writable(args.mnemonic_fd, "--mnemonic-fd")
    elif not aside.on_terminal():
        raise Problem(
            "The words are shown on a terminal only: run this in one, or have them written with --mnemonic-fd N.", USAGE
        )
    made = live.ask(args, "wallet.new", label=args.label, words=args.words)
    words, address = str(made["mnemonic"]), str(made["address"])
    if args.mnemonic_fd is not None:
        aside.write_to(args.mnemonic_fd, "--mnemonic-fd", words)
    else:
        _learnt(words, address)
    document = {"ok": True, "address": address, "label": args.label, "words": args.words, "active": made["active"]}
    text = "The wallet is made. Its words bring it back anywhere; try them from time to time with somatui wallet test."
    lines = fields([("address", f"0x{address}"), ("label", args.label)])
    return Answer(document, "\n".join(part for part in (text, lines, _beside(made)) if part))


def _beside(said: dict[str, Any]) -> str:
    """What to type where another wallet stays in use."""
    name = said["label"] or said["address"][:8]
    return "" if said["active"] else f"Another wallet is in use; somatui wallet use {name} takes this one instead."


def _learnt(words: str, address: str) -> None:
    """Show the words until two of them are known. Raises Problem."""
    import secrets

    head = (
        f"The words of the new wallet {short(address)}\n\nWrite them on paper, with their numbers. Whoever has them "
        "has the wallet;\nwithout them nobody brings it back when this machine and its vault are gone.\n\n"
    )
    again = "see them again with somatui wallet export --form words."
    try:
        for _ in range(ROUNDS):
            aside.show(head + aside.numbered(words))
            note("Two of the words, to see that they are on paper (nothing shows while you type):")
            if aside.two_asked_back(words, lambda prompt: asked.hidden(prompt, "mnemonic"), secrets.randbelow):
                return
            note("That is not what stands there. Here they are once more.")
    except KeyboardInterrupt:
        raise Problem(f"The wallet {short(address)} is made and kept, its words not asked back: {again}") from None
    raise Problem(f"The wallet {short(address)} is made and kept, but the words on paper are not its words: {again}")


def bring(args: Arguments) -> Answer:
    """A wallet out of a secret in whatever form."""
    text, raw = _secret(args)
    said = live.ask(args, "wallet.import", text=text, raw=raw, label=args.label, address=args.address or "")
    lines = [("address", f"0x{said['address']}"), ("label", said["label"]), ("read as", said["format"])]
    lines += [("note", one) for one in said["notes"]]
    head = "The vault had this key already." if said["known"] else "The key is in the vault."
    tail = f"{args.file} still holds it in plain text: delete it once this wallet works." if args.file else ""
    parts = (head, fields(lines), tail, _beside(said))
    return Answer({"ok": True} | said, "\n".join(part for part in parts if part))


def watch(args: Arguments) -> Answer:
    """A wallet by its address alone."""
    said = live.ask(args, "wallet.watch", address=args.address, label=args.label)
    text = f"0x{said['address']} is watched: everything can be read, nothing signed until its key is imported."
    return Answer({"ok": True} | said, "\n".join(part for part in (text, _beside(said)) if part))


def label(args: Arguments) -> Answer:
    """Another name for a wallet."""
    said = live.ask(args, "wallet.label", address=args.wallet, label=args.label)
    name = said["label"] or "nothing any more"
    return Answer({"ok": True} | said, f"0x{said['address']} is called {name}.")


def test(args: Arguments) -> Answer:
    """The recovery drill."""
    text, raw = _secret(args)
    said = live.ask(args, "wallet.test", text=text, raw=raw, address=args.wallet or "")
    wanted = f"0x{said['wanted']}" if said["wanted"] else "none in use"
    head = "It matches: this secret brings the wallet back." if said["matches"] else "It does not match."
    lines = [("read as", said["format"]), ("gives", f"0x{said['address']}"), ("wanted", wanted)]
    lines += [("belongs to", said["label"] if not said["matches"] else "")]
    lines += [("note", one) for one in said["notes"]]
    ok = bool(said["matches"])
    return Answer({"ok": ok} | said, f"{head}\n{fields(lines)}", 0 if ok else FAILED)


def export(args: Arguments) -> Answer:
    """A secret in plain text, on the terminal's other page or to a descriptor."""
    from somatui.config import load

    harden_process()
    if args.to_fd is not None:
        aside.writable(args.to_fd, "--to-fd")
    elif not aside.on_terminal():
        raise Problem("A key is shown on a terminal only: run this in one, or have it written with --to-fd N.", USAGE)
    word = args.word
    if word is None:
        if not aside.on_terminal():
            raise Problem("A key leaves the vault only for a typed word: add --word export.", USAGE)
        note("Whoever sees this key can take every coin of the wallet. Look who looks over your shoulder.")
        note("Type export to go on:")
        word = sys.stdin.readline().strip()
    practice = load(paths_of(args)).profile.network == "practice"
    passphrase = "" if practice else asked.passphrase(args, "passphrase", "Passphrase of the vault: ")
    said = live.ask(args, "wallet.export", address=args.wallet or "", form=args.form, word=word, passphrase=passphrase)
    secret, address = str(said.pop("secret")), str(said["address"])
    if args.to_fd is not None:
        aside.write_to(args.to_fd, "--to-fd", secret)
    else:
        shown = aside.numbered(secret) if args.form == "words" else secret
        aside.show(f"{args.form} of wallet 0x{address}\n\n{shown}")
    return Answer({"ok": True} | said, "It was shown; the vault still keeps it." if args.to_fd is None else "")


def qr(args: Arguments) -> Answer:
    """The address as a QR code."""
    from somatui.domain.halfblocks import half_blocks
    from somatui.tui.code import modules

    address = f"0x{_address(args)}"
    matrix = modules(address)
    coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    lines = half_blocks(matrix, light_on_dark=not coloured)
    if coloured:
        lines = [f"\x1b[38;5;16;48;5;231m{line}\x1b[0m" for line in lines]
    rows = ["".join(str(int(m)) for m in row) for row in matrix]
    return Answer({"address": address, "modules": rows}, "\n".join([*lines, address]), drawn=True)


def faucet(args: Arguments) -> Answer:
    """Coins for the wallet in use."""
    return perform(args, "faucet")


def _address(args: Arguments) -> str:
    found: list[dict[str, Any]] = live.ask(args, "wallet.list")["wallets"]
    wanted = (args.wallet or "").lower().removeprefix("0x")
    fitting = [
        w
        for w in found
        if (
            w["active"]
            if not wanted
            else w["label"] == args.wallet or (len(wanted) > 3 and w["address"].startswith(wanted))
        )
    ]
    if len(fitting) != 1:
        there = ", ".join(w["label"] or short(w["address"]) for w in found) or "none yet"
        raise Problem(f"Say which wallet by its label or address: there are {there}.", USAGE)
    return str(fitting[0]["address"])


def _secret(args: Arguments) -> tuple[str, bool]:
    """What was given, and whether it is base64 of a file's bytes: from a file, a descriptor, or typed without echo."""
    data: bytes | None = None
    if args.file is not None:
        try:
            with open(args.file, "rb") as opened:
                data = opened.read(asked.MOST_BYTES + 1)
        except OSError as failure:
            why = (failure.strerror or "").lower()
            raise Problem(
                f"{args.file} cannot be read ({why}): name another file, or correct its mode.", USAGE
            ) from None
        if not data or len(data) > asked.MOST_BYTES:
            raise Problem(f"{args.file} holds nothing, or far too much: name the file of a key.", USAGE)
    else:
        data = asked.given(args, "secret")
    if data is not None:
        return base64.b64encode(data).decode(), True
    return asked.hidden("Secret key or words (nothing shows while you type): ", "secret"), False


def _label_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--label", metavar="NAME", default="", help="what to call it")


def _new_options(parser: argparse.ArgumentParser) -> None:
    _label_option(parser)
    parser.add_argument("--words", type=int, choices=(12, 24), default=12, help="how many words (default: 12)")
    parser.add_argument("--mnemonic-fd", metavar="N", type=int, help="write the words to this open descriptor instead")


def _secret_options(parser: argparse.ArgumentParser) -> None:
    asked.descriptor_option(parser, "secret", SECRET)
    parser.add_argument("--file", metavar="FILE", type=Path, help="read it from a file, also a keystore or a .env")


def _import_options(parser: argparse.ArgumentParser) -> None:
    _secret_options(parser)
    _label_option(parser)
    parser.add_argument("--address", metavar="ADDRESS", help="which key of a keystore, by its address")


def _watch_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("address", metavar="ADDRESS", help="the whole address")
    _label_option(parser)


def _one(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("wallet", metavar="WALLET", help="label, address, or at least 4 digits of it")


def _perhaps_one(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("wallet", metavar="WALLET", nargs="?", help="label or address (default: the one in use)")


def _label_options(parser: argparse.ArgumentParser) -> None:
    _one(parser)
    parser.add_argument("label", metavar="NAME", help="what to call it")


def _test_options(parser: argparse.ArgumentParser) -> None:
    _perhaps_one(parser)
    _secret_options(parser)


def _export_options(parser: argparse.ArgumentParser) -> None:
    _perhaps_one(parser)
    parser.add_argument("--form", choices=("hex", "bech32", "words"), default="bech32", help="(default: bech32)")
    parser.add_argument("--word", metavar="WORD", help="the word export, which is asked for otherwise")
    parser.add_argument("--to-fd", metavar="N", type=int, help="write it to this open descriptor instead")
    asked.descriptor_option(parser, "passphrase", "the vault's passphrase")


VERBS = (
    Verb("show", "Show address, free money, stakes and bonds.", "somatui wallet show --json", show),
    Verb("coins", "List the wallet's coins, the largest first.", "somatui wallet coins", coins),
    Verb("list", "List the profile's wallets.", "somatui wallet list", listing),
    Verb("use", "Act for another wallet from now on.", "somatui wallet use ops-2 --yes", use, _one, acts=True),
    Verb("new", "Make a wallet; its words are shown once.", "somatui wallet new --label ops-1", new, _new_options),
    Verb("import", "Import a secret key, words, a keystore or a .env.", "somatui wallet import --file soma.keystore",
         bring, _import_options),
    Verb("watch", "Watch a wallet by its address alone.", f"somatui wallet watch 0x{'7c' * 32} --label cold", watch,
         _watch_options),
    Verb("label", "Give a wallet a name.", "somatui wallet label 7c1f ops-2", label, _label_options),
    Verb("test", "Try whether a secret brings a wallet back.", "somatui wallet test ops-1", test, _test_options),
    Verb("export", "Show a wallet's secret, for a typed word and the passphrase.",
         "somatui wallet export ops-1 --form words", export, _export_options),
    Verb("qr", "Show the address as a QR code.", "somatui wallet qr", qr, _perhaps_one),
    Verb("faucet", "Ask the faucet for coins.", "somatui wallet faucet", faucet, acts=True),
)  # fmt: skip
