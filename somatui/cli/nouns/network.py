"""`somatui network`: which networks there are, which one is used when none is named, and adding another."""

from __future__ import annotations

import argparse
import asyncio
import base64
import os
from typing import TYPE_CHECKING, Any

from somatui.cli import asked, live
from somatui.cli.options import Arguments, Verb, paths_of
from somatui.cli.output import Answer, fields, note, table
from somatui.cli.problem import DONE, FAILED, USAGE, Problem, as_problem
from somatui.domain.secret_names import node
from somatui.paths import Paths

if TYPE_CHECKING:
    from somatui.config import Profile
    from somatui.domain.report import Report

MARK = {"ok": "ok", "warn": "warning", "bad": "wrong", "skipped": "not tried"}


def list_networks(args: Arguments) -> Answer:
    """Every profile, the one in use marked."""
    from somatui.config import ConfigError, load, profile_names

    here = paths_of(args)
    rows: list[tuple[str, ...]] = []
    known: list[dict[str, Any]] = []
    for name in profile_names(here):
        mark = "*" if name == here.profile else ""
        try:
            profile = load(Paths.for_profile(name, here.home)).profile
        except ConfigError as wrong:
            known.append({"name": name, "used": bool(mark), "error": str(wrong)})
            rows.append((mark, name, "?", str(wrong), "", "", ""))
            continue
        known.append(_document(profile) | {"used": bool(mark)})
        address = profile.rpc_url or "not running"
        second = f", else {profile.rpc_url_2}" if profile.rpc_url_2 else ""
        wallet = profile.wallets.get(profile.wallet)
        rows.append((mark, name, profile.network, address + second, profile.chain[:8],
                     (wallet.label if wallet else "") or profile.wallet[:8], profile.colour))  # fmt: skip
    text = table("_ profile network node chain wallet colour", rows)
    return Answer({"profile": here.profile, "profiles": known}, text)


def use(args: Arguments) -> Answer:
    """Make a profile the one that is used when none is named."""
    from somatui.config import load, save_default

    paths = Paths.for_profile(args.name, getattr(args, "home", None))
    save_default(paths)
    profile = load(paths).profile
    text = f"Profile {profile.name} ({profile.network}) is used from now on where no other is named."
    named = os.environ.get("SOMATUI_PROFILE", "")
    if named and named != profile.name:
        text += f" SOMATUI_PROFILE still names {named} in this shell, and wins."
    return Answer({"ok": True, "profile": _document(profile)}, text)


def add(args: Arguments) -> Answer:
    """Look at a node, say what was found, and write the profile."""
    from somatui.config import load, save_profile

    paths = Paths.for_profile(args.name, getattr(args, "home", None))
    before = _before(paths)
    kind = _kind(args, before)
    address = args.rpc or (before.rpc_url if before else "")
    auth = _auth(args)
    note(f"Asking {address}.")
    report, second = asyncio.run(_look(args, address, auth, before))
    trouble = report.trouble
    if trouble is not None and trouble.status == "bad":
        raise Problem(f"{trouble.sentence.rstrip('.')}; nothing was written.")
    chain = str(report.facts["chain_id"])
    if second is not None and second != chain:
        raise Problem(
            f"{args.rpc_2} belongs to another network ({second}) than {address} ({chain}); nothing was written."
        )
    changes: dict[str, str | None] = {"network": kind, "chain": "" if kind == "localnet" else chain}
    given = {"rpc_url": args.rpc, "rpc_url_2": args.rpc_2, "faucet_url": args.faucet, "scoring_url": args.scoring,
             "admin_url": args.admin}  # fmt: skip
    save_profile(paths, **changes, **{name: value for name, value in given.items() if value})
    profile = load(paths).profile
    if live.is_running(paths):
        live.call(_named(args, paths), "profile.reload")
    lines = [(line.name, f"{MARK[line.status]}: {line.sentence}") for line in report.lines]
    text = f"{fields(lines)}\nProfile {profile.name} is written; use it with --profile {profile.name}, or always with "
    text += f"somatui network use {profile.name}."
    document = {"profile": _document(profile), **report.told(), "auth_kept": None}
    unkept = asyncio.run(_keep(paths, auth)) if auth else ""
    if auth:
        document["auth_kept"] = not unkept
        text += f"\n{unkept}" if unkept else f"\nThe vault keeps the node's credentials as {_secret(paths)}."
    return Answer(document | {"ok": not unkept}, text, FAILED if unkept else DONE)


def _named(args: Arguments, paths: Paths) -> Arguments:
    """The same words with the profile that they are about as the chosen one."""
    return argparse.Namespace(**vars(args) | {"profile": paths.profile})


def _before(paths: Paths) -> Profile | None:
    """The profile as it is, None where there is none. Raises ConfigError, and Problem for practice."""
    from somatui.config import load, profile_names

    profile = load(paths).profile if paths.profile in profile_names(paths) else None
    if paths.profile == "practice" or (profile is not None and profile.network == "practice"):
        raise Problem(
            "A practice network needs no adding: it is there when somatui practice serve --background runs.", USAGE
        )
    return profile


def _kind(args: Arguments, before: Profile | None) -> str:
    kind = before.network if before is not None else "custom"
    if kind == "custom" and not args.rpc and before is None:
        raise Problem("Name the node: somatui network add NAME --rpc https://node.example.", USAGE)
    return kind


def _auth(args: Arguments) -> str:
    """What the node wants to see, from the descriptor; plain user:password is taken for basic. Raises Problem."""
    from somatui.chain.relay import header_of
    from somatui.domain.hosts import as_credentials

    found = asked.given_text(args, "auth")
    if found is None:
        return ""
    text = as_credentials(found)
    try:
        header_of(text)
    except ValueError as wrong:
        raise Problem(str(wrong), USAGE) from None
    return text


async def _look(args: Arguments, address: str, auth: str, before: Profile | None) -> tuple[Report, str | None]:
    """What the node says, and the identifier of the second node's network. Raises ChainError for the second."""
    from somatui.agent.reaching import Reach, mistakes
    from somatui.chain.client import Chain, Endpoints
    from somatui.chain.relay import meant_for

    faucet = args.faucet or (before.faucet_url if before and not args.rpc else "")
    chain = before.chain if before and before.network != "localnet" else ""
    report = await Reach(address, faucet, auth, chain=chain).run()
    if not report.ok or not args.rpc_2:
        return report, None
    wrong = mistakes(args.rpc_2)
    if wrong is not None:
        raise Problem(f"{wrong.sentence.rstrip('.')}; nothing was written.", USAGE)
    second = Chain(Endpoints(args.rpc_2), read_limit_s=10, auth=meant_for(args.rpc_2, address, lambda: auth))
    try:
        return report, (await second.identity()).chain_id
    except Exception as failure:
        raise Problem(f"The second node, {args.rpc_2}: {as_problem(failure)}") from None
    finally:
        await second.aclose()


async def _keep(paths: Paths, auth: str) -> str:
    """Put the credentials into the profile's vault by its agent; what stood in the way as a sentence."""
    from somatui.agent.client import AgentError, AgentGone, ensure_agent

    cure = f"open or make the vault, then somatui vault set {_secret(paths)} --profile {paths.profile}."
    try:
        if not live.is_running(paths):
            note(f"Starting the agent of profile {paths.profile}.")
            await ensure_agent(paths)
        client = await live.connect(paths)
    except (AgentError, AgentGone, OSError, Problem) as failure:
        return f"The node's credentials are not kept ({str(failure).rstrip('.')}): {cure}"
    try:
        await client.call("vault.set", name=_secret(paths), value_b64=base64.b64encode(auth.encode()).decode())
        await client.call("profile.reload")
    except (AgentError, AgentGone, OSError) as failure:
        return f"The node's credentials are not kept ({str(failure).rstrip('.')}): {cure}"
    finally:
        await client.close()
    return ""


def _document(profile: Profile) -> dict[str, Any]:
    names = ("name", "network", "rpc_url", "rpc_url_2", "faucet_url", "scoring_url", "admin_url", "chain", "wallet",
             "vault", "colour")  # fmt: skip
    return {name: getattr(profile, name) for name in names}


def _name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the profile")


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the profile; localnet and testnet have addresses of their own")
    parser.add_argument("--rpc", metavar="URL", default="", help="the node")
    parser.add_argument("--rpc-2", metavar="URL", default="", help="a second one, read while the first is silent")
    parser.add_argument("--faucet", metavar="URL", default="", help="where coins are asked for")
    parser.add_argument("--scoring", metavar="URL", default="", help="the scoring service")
    parser.add_argument("--admin", metavar="URL", default="", help="the admin service of a network of your own")
    asked.descriptor_option(parser, "auth", "the node's user:password, or Header-Name: value,")


def _secret(paths: Paths) -> str:
    return node(paths.profile)


VERBS = (
    Verb("list", "List the networks of this machine.", "somatui network list --json", list_networks),
    Verb("use", "Use a network when none is named.", "somatui network use testnet", use, _name),
    Verb("add", "Add a network by its node's address, once the node has been looked at.",
         "somatui network add ops --rpc https://node.example --rpc-2 https://other.example", add, _add),
)  # fmt: skip
