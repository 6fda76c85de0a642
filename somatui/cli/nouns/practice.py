"""`somatui practice`: a network of your own on this machine, and an operator's day on it."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from somatui.cli import live
from somatui.cli.acting import confirm, perform
from somatui.cli.options import Arguments, Verb, at_least, paths_of
from somatui.cli.output import Answer, amount, fields
from somatui.cli.problem import FAILED, USAGE, Problem
from somatui.domain.ids import normalise_address
from somatui.paths import Paths, make_private

if TYPE_CHECKING:
    from somatui.practice.card import NetworkInfo


def _run_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", metavar="N", type=at_least(0), default=1,
                        help="fixes network, weights and order of candidates (default 1)")  # fmt: skip
    parser.add_argument(
        "--state", metavar="FOLDER", type=Path, help="keep the day here (default: a new temporary folder)"
    )
    parser.add_argument("--steps", metavar="N", type=at_least(1), default=40, help="training steps (default 40)")


def run(args: Arguments) -> Answer:
    """The whole day."""
    from somatui.cli.day.run import spend_the_day

    return spend_the_day(args)


def _rehearse_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", help="which rehearsal; --list names them")
    parser.add_argument("--list", action="store_true", help="name every rehearsal and what goes wrong in it")
    parser.add_argument("--seed", metavar="N", type=at_least(0), default=1, help="fixes the network (default 1)")
    parser.add_argument("--state", metavar="FOLDER", type=Path, help="keep it here (default: a new temporary folder)")


def rehearse(args: Arguments) -> Answer:
    """One way to lose money, with worthless coins; or the list of them."""
    from somatui.cli.rehearse import run as rehearsals

    if args.list:
        return rehearsals.listed()
    if args.name is None:
        raise Problem("Name a rehearsal: somatui practice rehearse --list shows them.", USAGE)
    return rehearsals.rehearse(args)


def _serve_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--ports", metavar="PORTS",
                        help="default (9000 9123 9124 9125 9126), free, or five numbers with commas; a network that "
                        "exists keeps its own where none are named")  # fmt: skip
    parser.add_argument("--seed", metavar="N", type=at_least(0), default=1, help="fixes the network (default 1)")
    parser.add_argument("--dimensions", type=int, choices=(16, 2048),
                        help="numbers of an embedding on a new network; 2048, like the real one, begins without models "
                        "(default 16)")  # fmt: skip
    parser.add_argument("--no-models", action="store_false", dest="models", help="a new network begins without models")
    parser.add_argument("--epoch-seconds", metavar="S", type=at_least(1), help="end epochs by the clock too")
    parser.add_argument("--checkpoint-lag-ms", metavar="N", type=at_least(0),
                        help="from execution until others see it (default 265, like the real node)")  # fmt: skip
    parser.add_argument("--listen", metavar="ADDRESS", help="listen on another address of this machine than 127.0.0.1")
    parser.add_argument("--i-know-that-anyone-can-reach-it", action="store_true", dest="acknowledged",
                        help="goes with --listen: everybody may end epochs, take coins, fill the disk")  # fmt: skip
    parser.allow_abbrev = False
    parser.add_argument("--background", action="store_true", help="start it detached and return when it answers")
    parser.add_argument("--real", action="store_true",
                        help="start the network's own soma program instead, on the same default ports")  # fmt: skip


def serve(args: Arguments) -> Answer:
    """Become the network, or start it in the background."""
    if args.real:
        from somatui.cli.real import serve_real

        return serve_real(args)
    paths = _practice_paths(args)
    ports = args.ports or ("free" if has_network(paths) else "default")
    if ports not in ("default", "free") and not _five_ports(ports):
        raise Problem(f"“{ports}” are not ports: type default, free, or five numbers with commas.", USAGE)
    listen = _listen(args)
    make_private(paths.network_dir)
    if args.background:
        from somatui.practice.client import start_network

        card = _card(
            start_network(paths.network_dir, ports, args.seed, epoch_seconds=args.epoch_seconds,
                          lag_ms=args.checkpoint_lag_ms, listen=listen, dimensions=args.dimensions,
                          models=args.models, cache=paths.seeds_cache)
        )  # fmt: skip
        return Answer({"ok": True} | card, fields((k, str(v)) for k, v in card.items()))
    words = [sys.executable, "-P", "-m", "somatui.practice", "--folder", str(paths.network_dir), "--ports", ports]
    words += ["--seed", str(args.seed), "--cache", str(paths.seeds_cache)]
    words += ["--dimensions", str(args.dimensions)] if args.dimensions else []
    words += [] if args.models else ["--no-models"]
    words += ["--epoch-seconds", str(args.epoch_seconds)] if args.epoch_seconds else []
    words += ["--checkpoint-lag-ms", str(args.checkpoint_lag_ms)] if args.checkpoint_lag_ms is not None else []
    words += ["--listen", listen, "--i-know-that-anyone-can-reach-it"] if listen else []
    sys.stdout.flush()
    os.execv(sys.executable, words)


def _listen(args: Arguments) -> str | None:
    """The address named with --listen, refused unless the acknowledgement stands beside it; None for the usual."""
    from somatui.practice.card import ServeError
    from somatui.practice.places import listening_on

    if args.listen is None:
        return None
    try:
        return listening_on(args.listen, args.acknowledged)
    except ServeError as why:
        raise Problem(str(why), USAGE) from None


def has_network(paths: Paths) -> bool:
    """Whether a practice network has been made here, running or not; `free` ports are then its own ports again."""
    return (paths.network_dir / "genesis.json").exists()


def _five_ports(text: str) -> bool:
    numbers = text.split(",")
    return len(numbers) == 5 and all(n.isdigit() and 0 < int(n) < 65_536 for n in numbers)


def _card(info: NetworkInfo) -> dict[str, Any]:
    names = ("chain", "rpc_url", "faucet_url", "scoring_url", "admin_url", "store_url", "pid")
    return {name: getattr(info, name) for name in names}


def _on_localnet(args: Arguments) -> bool:
    """Whether the profile is for the network's own program on this machine, whose services the agent asks."""
    from somatui.config import load

    return load(paths_of(args)).profile.network == "localnet"


def _practice_paths(args: Arguments) -> Paths:
    from somatui.config import load

    paths = paths_of(args)
    kind = load(paths).profile.network
    if kind != "practice":
        raise Problem(
            f"Profile {paths.profile} is on {kind}, not on a practice network: add --profile practice.", USAGE
        )
    return paths


def _running(paths: Paths) -> NetworkInfo:
    from somatui.practice.client import read_info

    info = read_info(paths.network_dir)
    if info is None:
        raise Problem("No practice network runs here: start it with somatui practice serve --background.")
    return info


def advance(args: Arguments) -> Answer:
    """End the epoch, through the agent where one runs, so that it has looked when this returns."""
    if _on_localnet(args):
        return perform(args, "advance")
    paths = _practice_paths(args)
    if live.is_running(paths):
        return perform(args, "advance")
    info = _running(paths)
    if args.dry_run:
        return Answer({"ok": True, "dry_run": True}, "Would end the epoch. Dry run: nothing was done.")
    from somatui.practice.client import advance_epoch

    epoch = asyncio.run(advance_epoch(info))
    return Answer({"ok": True, "action": "advance", "result": {"epoch": epoch}}, f"Epoch {epoch} has begun.")


def _faucet_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "address", metavar="ADDRESS", nargs="?", help="who gets the coins (default: the agent's wallet)"
    )


def faucet(args: Arguments) -> Answer:
    """Coins for the agent's wallet, or for any address."""
    if args.address is None and _on_localnet(args):
        return perform(args, "faucet")
    paths = _practice_paths(args)
    if args.address is None:
        return perform(args, "faucet")
    address = normalise_address(args.address)
    info = _running(paths)
    if args.dry_run:
        return Answer({"ok": True, "dry_run": True}, "Would ask the faucet. Dry run: nothing was done.")
    from somatui.practice import client

    coins = asyncio.run(client.faucet(info, address))
    total = sum(shannons for shannons, _, _ in coins)
    text = f"The faucet sent {amount(total)} in {len(coins)} coins."
    return Answer({"ok": True, "action": "faucet", "result": {"address": address, "amount_shannons": total}}, text)


def stop(args: Arguments) -> Answer:
    """Stop the practice network and its agent, and keep what they have."""
    from somatui.cli.stop import network_pid, stop_everything

    paths = _practice_paths(args)
    if network_pid(paths) is None and not live.is_running(paths):
        return Answer({"ok": True, "stopped": False}, "No practice network runs here.")
    forced = stop_everything(paths)
    text = (
        "The practice network and its agent have stopped; somatui practice serve --background goes on where they were."
    )
    return Answer({"ok": True, "stopped": True, "forced": forced}, "\n".join((text, *forced)))


def reset(args: Arguments) -> Answer:
    """Stop and delete the practice network, and the practice profile whose money was on it."""
    from somatui.cli.stop import forget, stop_everything
    from somatui.config import load, remove_wallet, save_profile

    paths = _practice_paths(args)
    doomed = [folder for folder in (paths.network_dir, paths.profile_dir) if folder.exists()]
    if not doomed:
        return Answer({"ok": True, "deleted": []}, "There is no practice network here.")
    text = "Stops the agent and the practice network and deletes " + " and ".join(map(str, doomed)) + "."
    if args.dry_run:
        return Answer({"ok": True, "dry_run": True, "deleted": []}, f"{text}\nDry run: nothing was done.")
    confirm(text, args)
    forced = stop_everything(paths)
    for folder in doomed:
        forget(folder)
    for address in load(paths).profile.wallets:
        remove_wallet(paths, address)
    if load(paths).profile.wallet:
        save_profile(paths, wallet=None)
    ok = not any(folder.exists() for folder in doomed)
    document = {"ok": ok, "deleted": [str(folder) for folder in doomed], "forced": forced}
    return Answer(document, "\n".join(("The practice network is gone.", *forced)), 0 if ok else FAILED)


VERBS = (
    Verb("run", "Watch an operator's whole day on a network of your own.", "somatui practice run --seed 7", run,
         _run_options),
    Verb("rehearse", "Lose money on purpose on a network of your own, and see what prevents it.",
         "somatui practice rehearse missed-reveal", rehearse, _rehearse_options),
    Verb("serve", "Run a practice network, here or in the background.", "somatui practice serve --background", serve,
         _serve_options),
    Verb("advance", "End the epoch now and begin the next.", "somatui practice advance", advance, acts=True),
    Verb("faucet", "Ask the faucet for coins.", "somatui practice faucet", faucet, _faucet_options, acts=True),
    Verb("stop", "Stop the practice network and its agent; they can go on later.", "somatui practice stop", stop),
    Verb("reset", "Stop and delete the practice network and its profile.", "somatui practice reset --yes", reset,
         acts=True),
)  # fmt: skip
