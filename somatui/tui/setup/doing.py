"""What each step of the setup does with its answers: has the agent try them, and keeps what holds.

One coroutine for each step, named like it; each takes the walk, what was entered and how to say what it waits for.
"""

from __future__ import annotations

import base64
import uuid
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from somatui.agent.client import AgentError
from somatui.config import StoreConfig, load, save_default, save_profile
from somatui.domain import secret_names
from somatui.domain.codec import from_json
from somatui.domain.hosts import as_credentials
from somatui.domain.ids import short
from somatui.domain.money import soma
from somatui.domain.report import Line, Report, Status
from somatui.domain.setup.after import first_reading
from somatui.domain.setup.steps import KnownWallet
from somatui.domain.snapshot import OWN_NETWORKS, Snapshot
from somatui.paths import Paths
from somatui.tui.practice import PracticeStart, StartFailed
from somatui.tui.setup.walk import failed, report_of, timed

if TYPE_CHECKING:
    from somatui.tui.setup.walk import Say, Walk

ENOUGH_SHANNONS = 1_000_000_000
"""With so much the faucet is not asked: it is there for everybody."""
MOST_BYTES = 65_536

Entered = dict[str, str]


async def purpose(walk: Walk, entered: Entered, say: Say) -> Report:
    """Write the profile down and start its agent."""
    network = entered["network"]
    own = network == "custom"
    changes = {n: entered.get(n, "") for n in ("purpose", "network", "profile")}
    changes |= {n: entered.get(n, "").rstrip("/") if own else "" for n in ("rpc_url", "faucet_url")}
    if own and not changes["rpc_url"].startswith(("http://", "https://")):
        return failed("node", "The node's address begins with https:// or http://: type it whole")
    before = walk.paths
    Paths.for_profile(changes["profile"] or network, before.home)
    walk.answered(**changes)
    if walk.paths != before:
        await walk.moved()
    paths, answers = walk.paths, walk.setup.answers
    if network == "practice" and (refused := await _practice(walk, say)):
        return refused
    if network != "practice" or answers.name != "practice":
        save_profile(paths, network=network, rpc_url=answers.rpc_url, faucet_url=answers.faucet_url)
    say(f"starting the agent of {answers.name}")
    _, ms = await timed(walk.ask("profile.reload"))
    await walk.look()
    _known_already(walk)
    return Report((Line("profile", "ok", f"Its agent runs: {answers.name}", ms=ms),))


def _known_already(walk: Walk) -> None:
    """A profile that has a store and a wallet is not asked for them from nothing."""
    profile, answers = load(walk.paths).profile, walk.setup.answers
    if profile.store is not None and not answers.endpoint:
        store = profile.store
        walk.answered(endpoint=store.endpoint, bucket=store.bucket, public_url=store.public_url, region=store.region)
    if profile.wallet and not answers.address:
        walk.answered(address=profile.wallet)


async def _practice(walk: Walk, say: Say) -> Report | None:
    """Start the practice network where none runs, on free ports where its own are taken; its sentence if it fails."""
    from somatui.tui.app import network_runs

    if network_runs(walk.paths):
        return None
    say("making a practice network, half a minute or so")
    refused = None
    for ports in ("", "free"):
        start = PracticeStart(walk.paths, ports)
        try:
            await start.run()
        except StartFailed as why:
            refused = refused or failed("practice network", str(why))
        else:
            return None
        finally:
            await start.stop()
    return refused


async def network(walk: Walk, entered: Entered, say: Say) -> Report:
    """Ask the node who it is, and write its chain into the profile."""
    paths = walk.paths
    profile = load(paths).profile
    auth = as_credentials(entered.get("auth", ""))
    say(f"asking {profile.rpc_url or 'the practice network'}")
    report = report_of(
        await walk.ask("check.network", rpc_url=profile.rpc_url, faucet_url=profile.faucet_url, auth=auth)
    )
    if not report.ok:
        return report
    chain = str(report.facts.get("chain_id") or report.facts.get("chain") or "")
    if chain and not profile.chain and profile.network not in OWN_NETWORKS:
        save_profile(paths, chain=chain)
        await walk.ask("profile.reload")
    if auth:
        walk.pending_auth = auth
        walk.answered(auth="asked")
        await _keep_auth(walk)
    return report


async def _keep_auth(walk: Walk) -> None:
    """The node's password goes into the vault as soon as that is open."""
    if walk.pending_auth and walk.known.vault and not walk.known.locked:
        await walk.put(secret_names.node(walk.setup.answers.name), walk.pending_auth)
        walk.pending_auth = ""


async def vault(walk: Walk, entered: Entered, say: Say) -> Report:
    """Make the vault, or open the one that is there."""
    known = await walk.look()
    passphrase, ms, what = entered.get("passphrase", ""), 0, "Here already and open"
    if known.vault and known.locked:
        say("opening the vault")
        _, ms = await timed(walk.ask("vault.unlock", passphrase=passphrase))
        what = "Opened"
    elif not known.vault:
        if passphrase != entered.get("again", ""):
            return failed("passphrase", "The two are not the same: type both again")
        say("making the vault")
        _, ms = await timed(walk.ask("vault.create", passphrase=passphrase))
        what = "Made"
    known = await walk.look()
    await _keep_auth(walk)
    lines = [Line("vault", "ok", what, ms=ms)]
    if known.backend:
        lines.append(Line("kept in", "ok", f"{known.backend}" + (f": {known.why.rstrip('.')}" if known.why else "")))
    return Report(tuple(lines))


async def wallet(walk: Walk, entered: Entered, say: Say) -> Report:
    """Make, bring, watch or choose a wallet; the words of a new one are among the facts, once."""
    kind, label = entered.get("wallet", ""), entered.get("label", "") or "main"
    facts: dict[str, Any] = {}
    if kind == "new":
        say("making a key")
        found, ms = await timed(walk.ask("wallet.new", label=label))
        facts["mnemonic"], said = found["mnemonic"], "Made"
    elif kind == "import":
        if not entered.get("key"):
            return failed("wallet", "Type or paste the secret key or the words")
        found, ms = await _imported(walk, label, entered)
        if not found:
            return failed("wallet", f"The keystore holds {len(walk.known.keys)} keys: choose which of them")
        said = f"Read as {found['format']}"
    elif kind == "watch":
        found, ms = await timed(walk.ask("wallet.watch", address=entered.get("address", ""), label=label))
        said = "Watched, nothing can be signed here"
    else:
        found, ms = await timed(walk.ask("wallet.use", address=kind))
        known = next((w for w in walk.known.wallets if w.address == kind), KnownWallet(kind))
        label, said = known.label, "In use"
        facts["words"] = known.words
    if not found.get("active", True):
        await walk.ask("wallet.use", address=found["address"])
    address = str(found["address"]).removeprefix("0x")
    await walk.look()
    walk.answered(wallet=kind if kind in ("new", "import", "watch") else "", address=address, label=label)
    lines = [Line("wallet", "ok", f"{said}: {short(address)}", ms=ms)]
    lines += [Line("note", "ok", note) for note in found.get("notes") or ()]
    if facts.pop("words", False):
        lines.append(Line("words", "ok", "If they are not on paper yet: somatui wallet export shows them"))
    return Report(tuple(lines), facts | {"address": address})


async def _imported(walk: Walk, label: str, entered: Entered) -> tuple[dict[str, Any], int]:
    """What came of the import, and its ms; nothing where the keystore holds several keys and none is chosen yet."""
    which = {"address": entered["which"]} if entered.get("which") else {}
    try:
        found, ms = await timed(walk.ask("wallet.import", label=label, **_secret(entered["key"]), **which))
    except AgentError as refused:
        several = tuple(str(address) for address in refused.data.get("addresses") or ())
        if not several:
            raise
        walk.known = replace(walk.known, keys=several)
        return {}, 0
    return dict(found), ms


def _secret(typed: str) -> dict[str, Any]:
    """The secret itself, or the bytes of the file whose path was typed."""
    file = Path(typed).expanduser()
    if not typed.startswith(("/", "~", "./")) or not file.is_file():
        return {"text": typed}
    return {"text": base64.b64encode(file.read_bytes()[:MOST_BYTES]).decode(), "raw": True}


async def storage(walk: Walk, entered: Entered, say: Say) -> Report:
    """Write, read from outside and delete an object; keep the keys only when all of that goes."""
    answers = {n: entered.get(n, "") for n in ("endpoint", "bucket", "public_url")}
    walk.answered(**answers)
    known = load(walk.paths).profile.store
    region = entered.get("region") or walk.setup.answers.region or (known.region if known else "auto")
    store = StoreConfig(answers["endpoint"], answers["bucket"], region, answers["public_url"])
    keys = {"access": entered.get("access", ""), "secret": entered.get("secret", "")}
    say("writing, reading from outside, deleting")
    report = report_of(await walk.ask("check.storage", store=asdict(store), **keys))
    if report.ok:
        found = {n: str(report.facts[n]) for n in ("region", "public_mode", "public_url", "endpoint", "bucket")
                 if n in report.facts}  # fmt: skip
        kept = asdict(store) | found
        await walk.ask("store.save", store=kept, **keys)
        await walk.ask("profile.reload")
        walk.answered(**{n: kept[n] for n in ("endpoint", "bucket", "public_url", "region")})
        await walk.look()
    return report


async def huggingface(walk: Walk, entered: Entered, say: Say) -> Report:
    """Try the token on the data set; keep it when it reads."""
    dataset = entered.get("dataset") or walk.setup.answers.dataset
    walk.answered(dataset=dataset)
    say(f"asking for {dataset}")
    report = report_of(await walk.ask("check.huggingface", token=entered.get("token", ""), dataset=dataset))
    if report.ok and entered.get("token"):
        await walk.put(secret_names.HUGGING_FACE, entered["token"])
        await walk.look()
    return report


async def extras(walk: Walk, entered: Entered, say: Say) -> Report:
    """Look at the GPU; try a webhook where one is given, and keep it when it answers."""
    say("looking at the GPU")
    report = report_of(await walk.ask("check.gpu"))
    lines = [replace(line, status="warn") if line.status == "bad" else line for line in report.lines]
    if url := entered.get("webhook"):
        say("sending a message to the webhook")
        told = report_of(await walk.ask("check.webhook", url=url))
        lines += told.lines
        if told.ok:
            await walk.put(secret_names.WEBHOOK, url)
            await walk.look()
    cards = [str(card["name"]) for card in report.facts.get("cards") or ()]
    hook = "a webhook is kept" if walk.known.keeps(secret_names.WEBHOOK) else "no webhook"
    walk.answered(machine=f"{', '.join(cards) or 'no GPU'}; {hook}")
    return Report(tuple(lines), report.facts)


async def summary(walk: Walk, entered: Entered, say: Say) -> Report:
    """Funds from the faucet where there is one, and the board at first sight."""
    answers, lines = walk.setup.answers, []
    save_default(walk.paths)
    say("looking at the board")
    seen = await _seen(walk)
    if seen.wallet.address and answers.wallet != "watch":
        lines.append(await _funds(walk, seen, say))
        seen = await _seen(walk)
    mood: Status = "ok" if seen.network.reachable else "warn"
    lines += [Line("board", mood, text.rstrip(".")) for text in first_reading(seen)]
    return Report(tuple(lines), {"free_shannons": seen.wallet.free_shannons, "address": seen.wallet.address})


async def _funds(walk: Walk, seen: Snapshot, say: Say) -> Line:
    """Ask the faucet where the wallet is nearly empty; how long it took and what came."""
    have = seen.wallet.free_shannons
    if have >= ENOUGH_SHANNONS:
        return Line("funds", "ok", f"{soma(have)} SOMA are here already")
    if not load(walk.paths).profile.faucet_url:
        cure = f"send some to 0x{seen.wallet.address}"
        return Line("funds", "warn", f"{soma(have)} SOMA, and this network has no faucet", cure)
    say("waiting for the faucet's coins")
    try:
        given, ms = await timed(walk.ask("act", action="faucet", args={}, key=uuid.uuid4().hex))
    except AgentError as refused:
        cure = "ask again with F5, or later with somatui wallet faucet"
        return Line("funds", "warn", f"{soma(have)} SOMA; {refused.message.rstrip('.')}", cure)
    coins = int((given.get("result") or {}).get("received_shannons") or 0)
    return Line("funds", "ok", f"{soma(coins)} SOMA came from the faucet", ms=ms)


async def _seen(walk: Walk) -> Snapshot:
    """The agent's picture, looked at now."""
    await walk.ask("refresh")
    seen: Snapshot = from_json(Snapshot, await walk.ask("snapshot"))
    return seen
