"""What a setup says at its end: what is set up and what is missing, the board at first sight, and what to do next."""

from __future__ import annotations

from somatui.domain.ids import short
from somatui.domain.money import bps, soma
from somatui.domain.setup.state import Setup
from somatui.domain.setup.steps import taken
from somatui.domain.snapshot import Snapshot

VAULTS = {
    "file": "an encrypted file, which its passphrase opens",
    "secret-service": "an encrypted file; the desktop's Secret Service opens it too",
    "keychain": "an encrypted file; the Keychain opens it too",
    "pass": "an encrypted file; pass opens it too",
}


def summary(setup: Setup, backend: str = "") -> list[tuple[str, str, str]]:
    """Name, value and tone (`good`, `warn` or none) of each thing that was set up or skipped."""
    answers = setup.answers
    said = {
        "network": f"{answers.network}, profile {answers.name}",
        "vault": VAULTS.get(backend, backend) or "made",
        "wallet": (answers.label + "  " if answers.label else "") + (short(answers.address) if answers.address else ""),
        "storage": f"{answers.bucket} at {answers.endpoint.partition('//')[2]}",
        "huggingface": answers.dataset,
        "extras": answers.machine,
    }
    rows: list[tuple[str, str, str]] = []
    for step in taken(setup.answers):
        if step.name in said:
            why = "its keys need the vault" if step.name in setup.without_vault else step.skip
            skipped = step.name in setup.without_vault or setup.mark(step.name) == "skipped"
            name = step.title if step.name in ("huggingface", "extras") else step.title.lower()
            rows.append((name, f"skipped: {why}" if skipped else said[step.name], "warn" if skipped else ""))
    return rows


def first_reading(seen: Snapshot) -> list[str]:
    """The board in sentences, read for somebody who sees it for the first time."""
    if not seen.network.reachable:
        return [f"The network does not answer yet: {seen.network.error or 'no reason was given'}."]
    epoch = seen.epoch
    opened = [t for t in seen.targets if t.status == "open"]
    active = sum(m.state == "active" for m in seen.models)
    lines = [f"Epoch {epoch.number}: {len(opened)} targets are open and {active} models are active."]
    if epoch.threshold:
        lines.append(
            f"A hit lies within {epoch.threshold:.3f} of its target and brings the submitter "
            f"{soma(bps(epoch.reward_shannons, epoch.parameters.submitter_share_bps), 4)} SOMA."
        )
    if not opened:
        lines.append("Targets appear when the epoch turns, once a model is active.")
    return lines


def what_next(setup: Setup, program: str = "somatui") -> list[tuple[str, str]]:
    """Commands, as they are typed where this program is called `program`, with their reason: by what the operator wants
    to do."""
    purpose, practice = setup.answers.purpose, setup.answers.network == "practice"
    known: dict[str, list[tuple[str, str]]] = {
        "submit": [
            ("somatui score run", "score files against the open targets and submit what hits"),
            ("somatui targets claim --all", "claim two epochs later, unless the agent has done it"),
        ],
        "train": [
            ("somatui train run", "train a model on local files"),
            ("somatui models publish", "stake, upload, commit; the agent reveals in the next epoch"),
        ],
        "look": [
            ("somatui status --watch", "epoch, money, duties in one screen"),
            ("somatui targets list", "what is open, and what it pays"),
        ],
    }
    if setup.without_vault:
        lines = [*known["look"], ("somatui setup", "again, with a vault: only then can anything be signed")]
    else:
        lines = known["submit"][:1] + known["train"] if purpose == "both" else list(known[purpose])
    if practice:
        lines.append(("somatui practice rehearse --list", "lose money on purpose, here where it is worth nothing"))
    lines.append(("somatui doctor", "when something does not work"))
    return [(program + command.removeprefix("somatui"), why) for command, why in lines]
