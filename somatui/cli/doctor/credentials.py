"""Network, storage, tokens and GPU, tried by the agent, which has the secrets; what it found becomes findings here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict
from typing import Any

from somatui.cli.doctor.finding import Finding, Scene
from somatui.cli.options import clock_ms
from somatui.config import Profile
from somatui.domain.deadline import span
from somatui.domain.secret_names import HUGGING_FACE

MEANINGS = {
    "network": "until it is well nothing can be read or sent",
    "storage": "validators could not download what you submit, and a submission that nobody can fetch loses its bond",
    "hugging face": "gated sets cannot be read; a token that works also needs the terms accepted on the set's page",
    "alerts": "nobody is told of what goes wrong but who looks at the console",
    "gpu": "scoring and training run on the processor, or not at all",
}


async def tried(client: Any, scene: Scene, profile: Profile) -> AsyncIterator[Finding]:
    """Every credential the profile has, one after the other."""
    vault = await client.call("vault.status")
    opened = bool(vault["exists"]) and not vault["locked"]
    for finding in vault_findings(vault):
        yield finding
    kept = set((await client.call("vault.list"))["names"]) if opened else set()
    for finding in await _report(client, "network", "check.network",
                                 rpc_url=profile.rpc_url, faucet_url=profile.faucet_url, auth=""):  # fmt: skip
        yield finding
    if profile.store is None:
        yield Finding("storage", "skipped", "none set up", "nothing can be submitted or published", "somatui setup")
    elif not opened:
        yield Finding("storage", "skipped", "the vault is locked, so its keys cannot be tried")
    else:
        for finding in await _report(client, "storage", "check.storage",
                                     store=asdict(profile.store), access="", secret=""):  # fmt: skip
            yield finding
    if HUGGING_FACE in kept:
        for finding in await _report(client, "hugging face", "check.huggingface"):
            yield finding
    else:
        shut = bool(vault["exists"]) and not opened
        why = "the vault is locked, so its token cannot be tried" if shut else "no token"
        yield Finding("hugging face", "skipped", why)
    for finding in await _report(client, "gpu", "check.gpu"):
        yield finding
    yield await _alerts(client)


def vault_findings(vault: Mapping[str, Any]) -> list[Finding]:
    """What the agent says of the vault, judged."""
    if not vault["exists"]:
        return [Finding("vault", "skipped", "none yet", "no key and no token can be kept", "somatui setup")]
    if problem := str(vault.get("problem") or ""):
        meaning = "keys and tokens cannot be read"
        return [Finding("vault", "bad", problem.rstrip("."), meaning, "somatui vault restore FILE brings a copy back")]
    found = [Finding("vault", "ok", f"{vault.get('backend') or 'there'}, {'locked' if vault['locked'] else 'open'}")]
    if vault["locked"]:
        meaning = "nothing is signed: no reveal, no claim, no submission"
        found = [Finding("vault", "warn", "locked", meaning, "somatui vault unlock")]
    if vault.get("copy_is_old"):
        meaning = str(vault.get("copy_sentence") or "what was added since is missing").rstrip(".")
        found.append(
            Finding(
                "vault copy", "warn", "an older copy was put back", meaning, "somatui vault list shows what is there"
            )
        )
    return found


async def _alerts(client: Any) -> Finding:
    from somatui.agent.client import AgentError

    try:
        return alerts_finding(await client.call("alerts.status"), clock_ms())
    except AgentError as refused:
        return Finding("alerts", "skipped", refused.message.rstrip("."))


def alerts_finding(said: Mapping[str, Any], now_ms: int) -> Finding:
    """Whether alerts leave this machine, and how the last message fared."""
    waiting = f", {said['waiting']} wait" if said["waiting"] else ""
    taken = f"the last message arrived {span(now_ms - said['taken_ms'])} ago" if said["taken_ms"] else "none went out"
    if said["level"] == "off":
        return Finding("alerts", "skipped", "switched off by alerts_to_webhook")
    if said["set"] is None:
        why = "the vault has been locked since the agent started, so the webhook's address is not known"
        return Finding("alerts", "warn", why, MEANINGS["alerts"], "somatui vault unlock")
    if not said["set"]:
        return Finding("alerts", "skipped", "no webhook, so they stay in the console")
    if said["error"]:
        failed = f"the webhook took nothing {span(now_ms - said['failed_ms'])} ago{waiting}"
        return Finding("alerts", "bad", f"{failed}: {said['error']}", MEANINGS["alerts"], str(said.get("cure", "")))
    return Finding("alerts", "ok", f"{taken}{waiting}")


async def _report(client: Any, what: str, method: str, **params: Any) -> list[Finding]:
    from somatui.agent.client import AgentError

    try:
        told = await client.call(method, **params)
    except AgentError as refused:
        return [Finding(what, "bad", refused.message.rstrip("."), MEANINGS[what], "somatui setup asks for it again")]
    return [_finding(what, line) for line in told["lines"]]


def _finding(what: str, line: Mapping[str, Any]) -> Finding:
    name = what if line["name"] == what else f"{what}: {line['name']}"
    well = line["status"] in ("ok", "skipped")
    detail = line["detail"] + (f", {line['ms']} ms" if line["ms"] and well else "")
    cure = line["cure"] or ("" if well else "somatui setup asks for it again")
    return Finding(name, line["status"], detail, "" if well else MEANINGS[what], cure)
