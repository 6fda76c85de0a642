"""Which objects in the store others still need: nothing is deleted that an audit or a model may ask for (R5c, R14)."""

from __future__ import annotations

from somatui.domain.ids import short
from somatui.domain.snapshot import ModelView, Snapshot, TargetView

_NEEDED: dict[str, str] = {
    "created": "is about to be committed",
    "pending": "waits for its reveal",
    "active": "is active, and losing its weights can cost 95 % of its stake",
}


def kept_for(snapshot: Snapshot, url: str) -> str | None:
    """Why the object at `url` must stay where it is, as a sentence; None when nobody needs it any more.

    Objects are known by folder and name, `weights/…` and `data/…`, which are never given twice.

    Weights are needed as long as their model is not inactive; submitted data through the audit epoch, the one after
    the fill (operators.md R5, R5c, R14). A picture of a network that is not reached says nothing, so all is kept.
    """
    if not snapshot.network.reachable:
        return "The network is not reached, so what still needs this object is not known: delete it when it is."
    for model in snapshot.models:
        if model.state in _NEEDED and _same(model.url, url):
            return _for_model(model)
    for target in snapshot.targets:
        if in_audit(target, snapshot.epoch.number) and _same(target.data_url, url):
            return _for_target(target)
    return _for_what_is_under_way(snapshot, url)


def _for_what_is_under_way(snapshot: Snapshot, url: str) -> str | None:
    """What a picture cannot tie to one address, by the folder: `weights/` and `data/` of acts that have not ended."""
    acting = {i.action for i in snapshot.intents if not i.ended}
    updating = any(m.mine and m.update_commit_epoch is not None for m in snapshot.models)
    if "/weights/" in url and ("publish" in acting or updating):
        return "An own model waits for commit or reveal, and these may be its new weights: delete them afterwards."
    if "/data/" in url and "submit" in acting:
        return "A submission is under way, and this may be its data: delete it when the submission has ended."
    return None


def _same(known: str | None, url: str) -> bool:
    """Whether both are one object; the store may have moved to another address since it was told."""
    return known is not None and known.rsplit("/", 2)[-2:] == url.rsplit("/", 2)[-2:]


def in_audit(target: TargetView, epoch: int) -> bool:
    """Whether its data may still be asked for, by those who fill it or those who audit the fill."""
    if target.status == "open":
        return True
    return target.status in ("filled", "claimable") and (target.fill_epoch is None or epoch <= target.fill_epoch + 1)


def _for_model(model: ModelView) -> str:
    name = model.label or short(model.id)
    return f"Model {name} {_NEEDED[model.state]}: deactivate it first, and delete its weights when it is inactive."


def _for_target(target: TargetView) -> str:
    if target.fill_epoch is None:
        return f"Target {short(target.id)} may still be filled by this data: delete it when its audit is over."
    return (
        f"The data that filled target {short(target.id)} can be audited until epoch {target.fill_epoch + 1} ends: "
        f"delete it in epoch {target.fill_epoch + 2}."
    )
