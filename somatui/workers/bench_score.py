"""Worker that measures scoring beside the published packages: `python -m somatui.workers.bench_score`.

Job: {"job": "bench_score", "version": 1, "short": bool, "rounds": n | null}. Gates come first: a figure whose gate has
not passed is void. Figures are processor time on one thread, both ways in turn, the median of the rounds' ratios.
"""

from __future__ import annotations

import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from somatui.engine import cipher, contract, screen, weights
from somatui.engine.bench import baseline, school
from somatui.engine.bench.measure import Findings, in_turn, peak_bytes, ratio
from somatui.engine.chunks import Library
from somatui.engine.contract import Part, Score
from somatui.engine.resident import Resident, bf16_is_native, prepared
from somatui.engine.roofline import bf16_peak, chunk_flops
from somatui.engine.weights import ModelConfig, Tensors
from somatui.workers.board import BoardTarget
from somatui.workers.lazy import EVERY, Plan
from somatui.workers.matching import Aims, Vectors
from somatui.workers.screening import VERIFY_EVERY
from somatui.workers.session import Session, run

TARGETS = 100
AGAIN = 50
"""How often what takes less than a tick of the clock is done in a row."""
NEAR, NEAR_SHARE = 3.5, 1 / 40
"""Standard deviations below the mean distance at which a target counts as near, and how many candidates are, to any."""
CARD_CHUNKS, CARD_SHARE = 256, 0.5
"""What goes through a card, and which share of its peak it is to reach."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is done; `config` is what is scored on, `wide` what is loaded, `file` the bytes of a whole request."""

    config: ModelConfig = ModelConfig(256, 1024, 4, 8)
    wide: ModelConfig = ModelConfig(1024, 4096, 2, 8)
    steps: int = 40
    rounds: int = 5
    file: int = 5000
    chunks: int = 24
    files: int = 20_000
    sequences: int = 8
    megabytes: int = 64


SHORT = Sizes(ModelConfig(64, 64, 1, 4), ModelConfig(128, 512, 1, 8), 6, 1, 1100, 5, 500, 1, 2)


class Bench:
    """Three models that have learnt something, in files and in memory, and what is found with them."""

    def __init__(self, sizes: Sizes, folder: Path) -> None:
        self.sizes, self.folder, self.found = sizes, folder, Findings()
        self.text = school.texts()
        first = school.taught(sizes.config, sizes.steps, 1, self.text)
        self.tensors = [first, *(self._akin(first, seed) for seed in (2, 3))]
        self.paths = [folder / f"model-{n}.safetensors" for n in range(len(self.tensors))]
        for path, tensors in zip(self.paths, self.tensors, strict=True):
            path.write_bytes(weights.to_bytes(tensors))
        self.theirs = [baseline.load(path, sizes.config) for path in self.paths]
        self.targets = _directions(sizes.config.dim)

    @staticmethod
    def _akin(tensors: Tensors, seed: int) -> Tensors:
        generator = torch.Generator().manual_seed(seed)
        return {n: t + 0.02 * torch.randn(t.shape, generator=generator) for n, t in tensors.items()}

    def ours(self, model: int, data: bytes) -> Score:
        """The exact path's answer."""
        return contract.score(self.sizes.config, self.tensors[model], data)

    def resident(self, model: int, dtype: torch.dtype, device: str = "cpu") -> Resident:
        """A model that stays in memory, its layers' matrices of this kind."""
        config = self.sizes.config
        return Resident(config, prepared(config, self.tensors[model], dtype), torch.device(device))

    def distances(self, score: Score) -> np.ndarray[Any, np.dtype[np.float64]]:
        """From all targets, [targets]."""
        return _distances(score, self.targets)

    def apart(self, ours: Score, theirs: Score) -> tuple[float, float]:
        """Losses relatively, and the largest difference of the distances to all targets."""
        return _apart(ours, theirs, self.targets)


def _directions(dim: int) -> Vectors:
    return np.random.default_rng(7).standard_normal((TARGETS, dim)).astype(np.float32)


def _distances(score: Score, targets: Vectors) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([contract.distance(score.embedding, target) for target in targets])


def _apart(ours: Score, theirs: Score, targets: Vectors) -> tuple[float, float]:
    return abs(ours.loss / theirs.loss - 1), _most(_distances(ours, targets) - _distances(theirs, targets))


def gates(bench: Bench) -> None:
    """Numbers before speeds: the exact path against the published modules, and both ways of screening against it."""
    loss = distance = wrong = 0.0
    for size in (300, bench.sizes.file):
        theirs = [baseline.score(model, bench.text[:size]) for model in bench.theirs]
        ours = [bench.ours(n, bench.text[:size]) for n in range(len(theirs))]
        wrong += contract.winner(ours) != contract.winner(theirs)
        for one, other in zip(ours, theirs, strict=True):
            found = bench.apart(one, other)
            loss, distance = max(loss, found[0]), max(distance, found[1])
    bench.found.gate("gate.contract", loss=(loss, 1e-5), distance=(distance, 1e-5), winners=(wrong, 0))
    kept = bench.resident(0, torch.float32)
    pieces = [bench.text[at : at + contract.CHUNK] for at in range(0, 4 * contract.CHUNK, contract.CHUNK)]
    off = [_most(kept.parts([p])[0].embedding - o.embedding) for p, o in zip(pieces, kept.parts(pieces), strict=True)]
    bench.found.gate("gate.batch_invariance", embedding=(max(off), 1e-6))
    for name, size, dtype in (("pad_tail", 300, torch.float32), ("bf16", bench.sizes.file, torch.bfloat16)):
        data = bench.text[:size]
        found = bench.apart(screen.score(bench.resident(0, dtype), data), bench.ours(0, data))
        bench.found.gate(
            f"gate.{name}", loss=(found[0], screen.LOSS_MARGIN), distance=(found[1], screen.DISTANCE_MARGIN)
        )


def _most(difference: np.ndarray[Any, Any]) -> float:
    return float(np.abs(difference).max())


def requests(bench: Bench) -> None:
    """Whole requests with three models: loaded anew, resident, and by the models that may matter."""
    data, config = bench.text[: bench.sizes.file], bench.sizes.config
    halves = [bench.resident(n, torch.bfloat16) for n in range(len(bench.tensors))] if bf16_is_native() else []
    plan = _plan(bench)

    def scored(column: str, again: bool) -> Score:
        if again or not halves:
            return bench.ours(int(column), data)
        return replace(screen.score(halves[int(column)], data), exact=False)

    def lazy() -> None:
        scores: dict[str, Score] = {}
        while (column := plan.following(scores)) is not None:
            scores[column] = scored(column, column in scores)

    ways: dict[str, Callable[[], object]] = {
        "reload": lambda: baseline.request(bench.paths, config, data),
        "resident": lambda: [baseline.score(model, data) for model in bench.theirs],
        "ours": lambda: [bench.ours(n, data) for n in range(len(bench.tensors))],
        "lazy": lazy,
    }
    if halves:
        ways["half"] = lambda: [screen.score(model, data) for model in halves]
    spent = in_turn(ways, bench.sizes.rounds)
    screened = spent["half"] if halves else [0.0] * bench.sizes.rounds
    spent["examined"] = list(map(_examined, spent["lazy"], spent["ours"], screened))
    _request_figures(bench, spent)


def _plan(bench: Bench) -> Plan:
    """The way of a candidate as the score worker plans it, for targets that all name the three models."""
    columns = tuple(str(n) for n in range(len(bench.tensors)))
    places = {c: n for n, c in enumerate(columns)}
    aims = Aims([BoardTarget(str(n), t, columns) for n, t in enumerate(bench.targets)], places, bench.sizes.config.dim)
    within = 1 - NEAR / bench.sizes.config.dim**0.5
    return Plan(columns, (0, 1, 2), aims, within, margin=2 * screen.LOSS_MARGIN, doubt=within)


def _examined(lazy: float, exact: float, screened: float) -> float:
    """What a candidate costs on average: most go through one model, some through all, a few exactly as well."""
    verified = NEAR_SHARE + 1 / VERIFY_EVERY
    return (1 - verified - 1 / EVERY) * lazy + (screened or exact) / EVERY + verified * (screened + exact)


def _request_figures(bench: Bench, spent: dict[str, list[float]]) -> None:
    figure, way = bench.found.figure, "bf16" if "half" in spent else "f32"
    gates = "gate.contract gate.bf16" if "half" in spent else "gate.contract"
    same = f"× {ratio(spent, 'reload', 'ours'):.3g} in f32"
    if "half" in spent:
        same += f", × {ratio(spent, 'reload', 'half'):.3g} in bf16"
    examined = f"candidates examined, in {way}, what may matter exactly"
    figure("score.reload", gates, ratio(spent, "reload", "examined"), goal=6, note=f"{examined}; same work {same}")
    figure("score.reload_same", "gate.contract", ratio(spent, "reload", "ours"), note="same work: three models in f32")
    figure("score.lazy", gates, ratio(spent, "resident", "examined"), goal=6, note=examined)
    figure(
        "score.resident_f32", "gate.contract", ratio(spent, "resident", "ours"), note="same work: three models in f32"
    )
    if "half" in spent:
        note = "same work: three models in bf16"
        figure("score.reload_same_bf16", gates, ratio(spent, "reload", "half"), note=note)
        figure("score.resident", gates, ratio(spent, "resident", "half"), goal=2.5, note=note)
    else:
        for name in ("score.reload_same_bf16", "score.resident"):
            bench.found.skip(name, "this processor has no instructions for bf16")


def card(bench: Bench) -> None:
    """The network's own architecture on a card: chunks a second, and which share of its peak that is."""
    if not torch.cuda.is_available():
        bench.found.skip("score.card", "there is no card that PyTorch can use")
        return
    device, config, margins = torch.device("cuda", 0), weights.FULL, (screen.LOSS_MARGIN, screen.DISTANCE_MARGIN)
    data = bench.text[: bench.sizes.file]
    for dtype, most in ((torch.float32, (1e-4, 1e-4)), (torch.bfloat16, margins)):
        # On the models that have learnt something: random weights forgive much.
        off = bench.apart(screen.score(bench.resident(0, dtype, "cuda:0"), data), bench.ours(0, data))
        kind = "f32" if dtype == torch.float32 else "bf16"
        bench.found.gate(f"gate.card_{kind}", loss=(off[0], most[0]), distance=(off[1], most[1]))
    tensors, chunks = weights.initial(config, 5), bench.text[: CARD_CHUNKS * contract.CHUNK]
    pieces = [chunks[at : at + contract.CHUNK] for at in range(0, len(chunks), contract.CHUNK)]
    exact = Resident(config, prepared(config, tensors), device).parts(pieces[:1])
    model = Resident(config, prepared(config, tensors, torch.bfloat16), device)
    screened = contract.together([model.parts(pieces[:1])])
    off = _apart(screened, contract.together([exact]), _directions(config.dim))
    bench.found.gate("gate.card", loss=(off[0], margins[0]), distance=(off[1], margins[1]))
    # A size is captured at its second use.
    for _ in range(2):
        model.parts(pieces)
    began = time.perf_counter()
    model.parts(pieces)
    speed, name = len(pieces) / (time.perf_counter() - began), torch.cuda.get_device_name(device)
    peak = bf16_peak(name)
    most_chunks = peak / chunk_flops(config) if peak else None
    share = f", {speed / most_chunks:.0%} of the peak of its bf16" if most_chunks else ""
    goal = most_chunks and float(f"{most_chunks * CARD_SHARE:.4g}")
    bench.found.figure("score.card", "gate.card_f32 gate.card_bf16 gate.card", speed, "chunks/s", goal,
                       note=f"{name}, one model of {config.dim}{share}")  # fmt: skip


def parts(bench: Bench) -> None:
    """Composition from known chunks, and short candidates without most of their padding."""
    sizes, data = bench.sizes, bench.text
    pieces = [data[at : at + contract.CHUNK] for at in range(0, sizes.chunks * contract.CHUNK, contract.CHUNK)]
    made: list[Part] = []
    for piece in pieces:
        (batch,) = contract.batches(piece)
        made += contract.parts(sizes.config, bench.tensors[0], batch, 0)
    library, chance = Library(made), np.random.default_rng(3)
    files = chance.integers(0, len(made), (sizes.files, 5))
    units = bench.targets / np.linalg.norm(bench.targets, axis=1, keepdims=True)

    def composed() -> tuple[Any, Any]:
        losses, embeddings = library.compose(files)
        return losses, 1 - (embeddings @ units.T) / np.linalg.norm(embeddings, axis=1, keepdims=True)

    losses, far = composed()
    whole = b"".join(pieces[n] for n in files[0])
    exact = baseline.score(bench.theirs[0], whole)
    bench.found.gate(
        "gate.compose",
        loss=(abs(losses[0] / exact.loss - 1), 1e-5),
        distance=(_most(far[0] - bench.distances(exact)), 1e-5),
    )
    spent = in_turn({"file": lambda: baseline.score(bench.theirs[0], whole), "composed": composed}, sizes.rounds)
    bench.found.figure("score.compose", "gate.compose", ratio(spent, "file", "composed") * sizes.files, goal=10_000,
                       note=f"files of five known chunks against {TARGETS} targets, one model")  # fmt: skip
    short, kept = data[:300], bench.resident(0, torch.float32)
    spent = in_turn({
        "theirs": lambda: baseline.score(bench.theirs[0], short), "exact": lambda: bench.ours(0, short),
        "screened": lambda: screen.score(kept, short),
    }, sizes.rounds)  # fmt: skip
    bench.found.figure("score.pad_tail", "gate.pad_tail", ratio(spent, "theirs", "screened"), goal=2,
                       note="candidates of 300 bytes, screened")  # fmt: skip
    bench.found.figure("score.pad_tail_exact", "gate.pad_tail", ratio(spent, "exact", "screened"),
                       note="the same against the exact path")  # fmt: skip


def regulariser(bench: Bench) -> None:
    """SIGReg: time, and the memory it needs beside its input."""
    hidden = torch.randn(bench.sizes.sequences, contract.CHUNK, bench.sizes.config.dim)
    with torch.inference_mode():
        theirs, ours = float(baseline.regulariser(hidden, 0)), 0.02 * float(contract.sigreg(hidden, 0))
        bench.found.gate("gate.sigreg", difference=(abs(ours / theirs - 1), 1e-5))
        ways = {"theirs": lambda: baseline.regulariser(hidden, 0), "ours": lambda: contract.sigreg(hidden, 0)}
        spent = in_turn(ways, bench.sizes.rounds)
        bench.found.figure("sigreg", "gate.sigreg", ratio(spent, "theirs", "ours"), goal=2, note="the regulariser")
        peaks = [peak_bytes(ways[name]) for name in ("theirs", "ours")]
    if None in peaks or not peaks[0]:
        bench.found.skip("sigreg.memory", "this system does not tell a process's peak")
        return
    most, least = peaks[0], max(peaks[1] or 0, 1 << 20)
    bench.found.figure("sigreg.memory", "gate.sigreg", most / least, goal=20,
                       note=f"its memory: {least >> 20} MiB, theirs {most >> 20}")  # fmt: skip


def files(bench: Bench) -> None:
    """Weights: opening, deciphering; and cutting bytes into tokens."""
    config, path = bench.sizes.wide, bench.folder / "wide.safetensors"
    path.write_bytes(weights.to_bytes(weights.initial(config, 5)))
    theirs, (_, ours) = baseline.load(path, config), weights.open_file(path, config.heads)
    name = "encoder.layers.0.pwff.linear_inner.weight"
    off = _most(baseline.matrix(theirs, name) - ours[name].numpy())
    bench.found.gate("gate.load", difference=(off, 0))
    spent = in_turn({
        "theirs": lambda: baseline.load(path, config), "ours": lambda: weights.open_file(path, config.heads),
    }, bench.sizes.rounds)  # fmt: skip
    bench.found.figure("load", "gate.load", ratio(spent, "theirs", "ours"), goal=5,
                       note=f"opening {path.stat().st_size >> 20} MiB of weights")  # fmt: skip
    plain, key = os.urandom(bench.sizes.megabytes << 20), bytes(range(32))
    sealed, opening = cipher.crypt(plain, key), cipher.Pass(key)
    same = b"".join(bytes(step) for step in opening.steps(sealed)) == plain
    bench.found.gate("gate.decrypt", wrong=(float(not same or opening.checksum() != cipher.checksum(sealed)), 0))
    spent = in_turn({
        "decrypt": lambda: _deciphered(sealed, key), "checked": lambda: sum(map(len, cipher.Pass(key).steps(sealed))),
    }, bench.sizes.rounds)  # fmt: skip
    for name, goal, note in (
        ("decrypt", 1.0, "one core"),
        ("checked", None, "one core, with its checksum in the pass"),
    ):
        speed = len(plain) / statistics.median(spent[name]) / 1e9
        bench.found.figure("decrypt" if goal else "decrypt.checked", "gate.decrypt", speed, "GB/s", goal, note)
    data = bench.text[: contract.BATCH * contract.CHUNK - 100]
    (cut,) = contract.batches(data)
    pairs = zip((cut.tokens, cut.targets, cut.positions), baseline.tokens(data), strict=True)
    bench.found.gate("gate.tokenise", unlike=(sum(not torch.equal(a, b) for a, b in pairs), 0))
    spent = in_turn({
        "theirs": lambda: baseline.tokens(data), "ours": lambda: _again(lambda: list(contract.batches(data))),
    }, bench.sizes.rounds)  # fmt: skip
    bench.found.figure("tokenise", "gate.tokenise", ratio(spent, "theirs", "ours") * AGAIN, goal=100,
                       note=f"candidates of {len(data):,} bytes")  # fmt: skip


def _again(way: Callable[[], object]) -> None:
    """So many times, each let go of before the next: a memory full of them would be what is measured."""
    for _ in range(AGAIN):
        way()


def _deciphered(sealed: bytes, key: bytes) -> None:
    stream, out, whole = cipher.Stream(key), memoryview(bytearray(cipher.STEP)), memoryview(sealed)
    for at in range(0, len(whole), cipher.STEP):
        stream.into(whole[at : at + cipher.STEP], out)


def machine() -> dict[str, Any]:
    """What figures depend on; `load` is that of the last minute, the bench among it."""
    return {
        "system": f"{platform.system()} {platform.machine()}", "cpus": os.cpu_count(),
        "instructions": torch.backends.cpu.get_cpu_capability(), "threads": 1, "python": platform.python_version(),
        "torch": torch.__version__, "load": round(os.getloadavg()[0], 2),
    }  # fmt: skip


def measure(job: dict[str, Any], session: Session) -> dict[str, Any]:
    """Everything, as a document: machine, the model that is scored on, gates, results."""
    torch.set_num_threads(1)
    sizes = SHORT if job.get("short") else Sizes()
    if job.get("rounds"):
        sizes = replace(sizes, rounds=int(job["rounds"]))
    with tempfile.TemporaryDirectory(prefix="somatui-bench-") as folder:
        bench = Bench(sizes, Path(folder))
        steps = (gates, files, regulariser, parts, requests, card)
        for number, step in enumerate(steps):
            if session.stopping.is_set():
                break
            step(bench)
            session.emitter.send("progress", done=(number + 1) / len(steps))
    if job.get("short"):
        bench.found.unjudged()
    c = sizes.config
    model = {"dim": c.dim, "hidden": c.hidden, "layers": c.layers, "heads": c.heads, "rounds": sizes.rounds}
    return {"machine": machine(), "model": model, "gates": bench.found.gates, "results": bench.found.results}


if __name__ == "__main__":
    sys.exit(run("bench_score", measure, weights.WeightsError))
