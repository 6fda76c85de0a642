"""Literal pictures of the world that the console's tests and eyes start from."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace

from somatui.domain.duties import duties
from somatui.domain.snapshot import (
    Alert,
    CoinView,
    EpochView,
    JobView,
    LedgerView,
    ModelView,
    NetworkView,
    Parameters,
    Snapshot,
    StakeView,
    TargetView,
    WalletView,
    empty,
)

HOUR_MS = 3_600_000
NOW_MS = 1_700_000_000_000
ME = hashlib.sha256(b"me").hexdigest()
OTHER = hashlib.sha256(b"other").hexdigest()
SOMA = 1_000_000_000


def an_id(name: str) -> str:
    """An id that looks like one and is the same every time."""
    return "0x" + hashlib.sha256(name.encode()).hexdigest()


def nothing() -> Snapshot:
    """Before anything is known."""
    return empty("practice", "practice", NOW_MS)


def fresh() -> Snapshot:
    """A practice network that answers, a funded wallet, nothing done yet."""
    return replace(
        nothing(),
        network=NetworkView(name="practice", kind="practice", chain="practice", reachable=True, synced_at_ms=NOW_MS),
        epoch=EpochView(
            number=0,
            starts_at_ms=NOW_MS - 2 * HOUR_MS,
            threshold=1.05,
            reward_shannons=12_685_185,
            parameters=Parameters(embedding_dim=16),
        ),
        wallet=WalletView(address=ME, label="practice", unlocked=True, coins=(_coin("first", 100 * SOMA, "working"),)),
    )


def _coin(name: str, balance_shannons: int, role: str) -> CoinView:
    return CoinView(an_id(name), 3, "5Fz8", balance_shannons, role)  # type: ignore[arg-type]


def _models() -> tuple[ModelView, ...]:
    seeded = tuple(
        ModelView(
            id=an_id(f"seed {n}"),
            owner=OTHER,
            state="active",
            stake_shannons=n * SOMA,
            commission_bps=1_000,
            create_epoch=0,
            commit_epoch=0,
            url=f"http://127.0.0.1:9126/practice/seed-{n}",
            size_bytes=88_712,
            targets_share=share,
        )
        for n, share in ((1, 0.93), (2, 0.81), (3, 0.55))
    )
    own = ModelView(
        id=an_id("own"),
        owner=ME,
        state="active",
        mine=True,
        label="rust-net",
        stake_shannons=12 * SOMA,
        commission_bps=1_000,
        create_epoch=407,
        commit_epoch=407,
        url="http://127.0.0.1:9126/practice/weights/own",
        size_bytes=88_712,
        key_at_hand=True,
        targets_share=0.71,
    )
    pending = replace(
        own,
        id=an_id("pending"),
        state="pending",
        label="latex-01",
        stake_shannons=SOMA,
        create_epoch=411,
        commit_epoch=411,
        targets_share=0.0,
    )
    gone = replace(seeded[0], id=an_id("gone"), state="inactive", targets_share=0.0, stake_shannons=SOMA // 2)
    return (*seeded, own, pending, gone)


def _targets(models: tuple[ModelView, ...]) -> tuple[TargetView, ...]:
    active = [m.id for m in models if m.state == "active"]

    def target(n: int, **changes: object) -> TargetView:
        base = TargetView(
            id=an_id(f"target {n}"),
            status="open",
            model_ids=tuple(active[(n + i) % len(active)] for i in range(3)),
            threshold=0.978,
            reward_shannons=12_685_185,
            generation_epoch=412,
            best_distance=None if n % 4 == 0 else 0.9581 + 0.0037 * (n % 23),
            best_model_id=active[n % len(active)],
        )
        return replace(base, **changes)  # type: ignore[arg-type]

    def sent(n: int, epoch: int, **changes: object) -> TargetView:
        own = {"mine": True, "submitter": ME, "bond_shannons": 6_514_300 + 31 * n}
        filled = {"status": "filled", "fill_epoch": epoch, "generation_epoch": epoch, "winning_model_id": active[n % 3]}
        return target(n, **filled, **own, best_distance=0.9553 + 0.001 * (n % 9), **changes)

    return (
        *(target(n) for n in range(12)),
        target(12, intent="planned"),
        *(sent(n, 412) for n in (20, 21)),
        *(replace(sent(n, 410), status="claimable") for n in (30, 31, 32)),
        replace(sent(40, 411), mine=False, submitter=OTHER, own_model_won=True, winning_model_id=an_id("own")),
        replace(sent(41, 410), mine=False, submitter=OTHER, status="claimable"),
        target(50, status="expired", generation_epoch=411, best_distance=None),
    )


def _losses(steps: int) -> tuple[float, ...]:
    return tuple(2.1 + 3.4 * math.exp(-n / 22) + 0.13 * math.sin(n * 1.7) * math.exp(-n / 60) for n in range(steps))


def _tables() -> dict[str, tuple[dict[str, object], ...]]:
    """What a score job over three sources on one card tells."""
    misses = (("argparse.py", 0.9812), ("a-function-with-a-rather-long-name-for-a-narrow-column.py", 0.9834),
              ("main.rs#4", 0.9841), ("gen-000213", 0.9902))  # fmt: skip
    return {
        "sources": (
            {"source": "the-stack-v2", "given": 400, "hits": 6, "ready": 32, "dropped": {"size": 12}},
            {"source": "gen.py", "given": 219, "hits": 1, "ready": 32, "dropped": {"near_duplicate": 3}},
            {"source": "notes.jsonl", "given": 1, "hits": 0, "ready": 0, "dropped": {}},
        ),
        "near": tuple(
            {"name": f"/corpus/{name}", "target": an_id(f"target {n}"), "distance": d, "gap": d - 0.978}
            for n, (name, d) in enumerate(misses)
        ),
        "gauges": (
            {"card": "H100 80GB HBM3", "index": 0, "busy": 97, "used": 18_253_611_008, "memory": 85_899_345_920,
             "celsius": 71, "watts": 612, "most_watts": 700, "slowed": "power cap"},
        ),
    }  # fmt: skip


def _scoring() -> JobView:
    """A score job over three sources on one card, under way."""
    return JobView(
        id="score-3",
        kind="score",
        title="score 2000 of Python's standard library",
        state="running",
        started_at_ms=NOW_MS - HOUR_MS // 10,
        updated_at_ms=NOW_MS - 300,
        done=0.31,
        metrics={
            "candidates_per_s": 24.1,
            "chunks_per_s": 61.8,
            "peak_share": 0.861,
            "scored": 620.0,
            "hits": 7.0,
            "best_distance": 0.9553,
            "best_hour": 0.9601,
            "ready": 64.0,
            "under_way": 3.0,
            "owed": 12.0,
            "targets": 87.0,
            "covered": 31.0,
            "cover_s": 7_540.0,
            "left_s": 57.3 * 13,
            "dropped": 15.0,
            "dropped_size": 12.0,
            "dropped_near_duplicate": 3.0,
            "done": 5.0,
            "lost": 1.0,
        },
        history=tuple(0.9553 + 0.4 / (1 + n // 4) for n in range(31)),
        last_lines=(
            "hit  argparse.py  distance 0.9553  target 7c1f",
            "hit  typing.py  distance 0.9712  target 02ee",
        ),
        tables=_tables(),
    )


def _jobs() -> tuple[JobView, ...]:
    return (
        JobView(
            id="train-7",
            kind="train",
            title="train 500 steps on latex",
            state="running",
            started_at_ms=NOW_MS - HOUR_MS // 4,
            updated_at_ms=NOW_MS - 800,
            done=0.824,
            metrics={"step": 412.0, "steps": 500.0, "loss": 2.183, "tokens_per_s": 6_123.0},
            history=_losses(103),
            last_lines=("checkpoint at step 400", "step 410  loss 2.186  6.1k tokens/s", "step 412  loss 2.183"),
        ),
        _scoring(),
        JobView(
            id="train-6",
            kind="train",
            title="train 200 steps on Python's standard library",
            state="done",
            started_at_ms=NOW_MS - 30 * HOUR_MS,
            updated_at_ms=NOW_MS - 28 * HOUR_MS,
            done=1.0,
            metrics={"step": 200.0, "steps": 200.0, "loss": 2.31, "tokens_per_s": 6_010.0},
            history=_losses(50),
            last_lines=("done: weights saved",),
            result={"weights": "weights.safetensors"},
        ),
        JobView(
            id="score-2",
            kind="score",
            title="score notes",
            state="failed",
            started_at_ms=NOW_MS - 3 * HOUR_MS,
            updated_at_ms=NOW_MS - 3 * HOUR_MS + 4_000,
            last_lines=("reading the corpus",),
            error="The folder to score is not there any more: choose another one.",
        ),
    )


def middle() -> Snapshot:
    """A practice day in the middle: models of all states, sent and claimable targets, a training and a scoring."""
    models = _models()
    day = replace(
        fresh(),
        epoch=EpochView(
            number=412,
            starts_at_ms=NOW_MS - 14 * HOUR_MS - 47 * 60_000 - 30_000,
            threshold=0.978,
            reward_shannons=12_685_185,
            hits=61_220,
            hits_ema=80_100,
            hits_wanted=86_400,
            targets_generated=61_302,
            emission_per_epoch_shannons=1_096 * SOMA,
            emission_balance_shannons=1_000_000 * SOMA,
            parameters=Parameters(embedding_dim=16),
        ),
        wallet=WalletView(
            address=ME,
            label="practice",
            unlocked=True,
            coins=(
                _coin("working", 402_883_104_200, "working"),
                _coin("second", 9_980_000_000, "working"),
                _coin("reserved", 20_000_000, "reserved"),
                _coin("crumb", 9_100, "dust"),
            ),
            stakes=(
                StakeView(an_id("stake 1"), an_id("pool 1"), 12 * SOMA, 408, an_id("own")),
                StakeView(an_id("stake 2"), an_id("pool 2"), SOMA, 412, an_id("pending")),
            ),
        ),
        targets=_targets(models),
        models=models,
        jobs=_jobs(),
        ledger=LedgerView(
            earned_shannons=1_204_311_020,
            fees_shannons=412_600,
            bonded_shannons=71_003_200,
            bonds_returned_shannons=38_412_000,
            staked_shannons=13 * SOMA,
            received_shannons=425 * SOMA,
            hits=11,
            claims=6,
            reveals=1,
        ),
    )
    return replace(day, duties=duties(day, auto_reveal=True, auto_claim=False))


def big() -> Snapshot:
    """2,000 targets and 300 models."""
    day = middle()
    model = day.models[0]
    models = tuple(replace(model, id=an_id(f"model {n}"), targets_share=(n % 100) / 100) for n in range(295))
    target = day.targets[1]
    targets = tuple(
        replace(
            target,
            id=an_id(f"many {n}"),
            best_distance=0.90 + (n * 7919 % 2000) / 10_000,
            model_ids=tuple(models[(n * 3 + i) % 295].id for i in range(3)),
        )
        for n in range(2_000 - len(day.targets))
    )
    return replace(day, models=(*day.models[:5], *models), targets=(*day.targets, *targets))


def alarmed() -> Snapshot:
    """What must not be missed: a key that is not at hand, a slash ahead, a network that went away."""
    day = middle()
    lost = replace(day.models[4], key_at_hand=False)
    late = replace(lost, id=an_id("late"), label="css-02", state="created", create_epoch=411, commit_epoch=None)
    picture = replace(
        day,
        network=replace(day.network, reachable=False, error="The node does not answer: is it running?"),
        wallet=replace(day.wallet, unlocked=False),
        models=(*day.models[:4], lost, late),
        alerts=(
            Alert("bad", "The key of latex-01 is not at hand: half its stake is lost at the end of epoch 412.", NOW_MS),
            Alert("warn", "The network has not answered for 2 minutes.", NOW_MS),
        ),
    )
    return replace(picture, duties=duties(picture, auto_reveal=True, auto_claim=True))
