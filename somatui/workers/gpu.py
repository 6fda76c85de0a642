"""What the graphics cards of this machine are, what fits on them, and whether PyTorch's build can use the driver."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from somatui.domain.report import Line, Report

GB = 1_000_000_000
MODEL_BF16 = 2_420_000_000
"""Bytes of the network's model of 1,209,684,232 parameters in bf16 (scoring.md 0)."""
ACTIVATIONS = 2 * GB
TRAIN_LEAN = 15 * GB
"""Bytes for training with bf16 and an 8-bit optimiser, activations recomputed (scoring.md)."""
TRAIN_PLAIN = 34 * GB
"""Bytes for the quickstart's own training: fp32 and two samples at a time."""
OLDEST = (7, 0)
"""Compute capability below which today's PyTorch has no code."""
CHILD_S = 90
_ASK_TORCH = """
import json, torch
print(json.dumps({"version": torch.__version__, "cuda": torch.version.cuda, "usable": torch.cuda.is_available(),
                  "arch": torch.cuda.get_arch_list() if torch.cuda.is_available() else []}))
"""


@dataclass(frozen=True, slots=True)
class Card:
    """One card: memory in bytes, compute capability as (major, minor)."""

    name: str
    memory: int
    free: int
    capability: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Found:
    """What the driver says: `cuda` is the newest that it can run, (major, minor); `error` why it says nothing."""

    cards: Sequence[Card] = ()
    driver: str = ""
    cuda: tuple[int, int] = (0, 0)
    error: str = ""


def check(limit_s: float = CHILD_S) -> Report:
    """Lines named driver, memory and PyTorch; PyTorch is asked in a child, and only where there is a card."""
    began = time.monotonic()
    found = look()
    torch = ask_torch(limit_s) if found.cards else None
    return judge(found, torch, round((time.monotonic() - began) * 1000))


def look() -> Found:
    """Ask the driver by NVML; nothing is started and no memory of a card is taken."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as failure:
        return Found(error=type(failure).__name__.removeprefix("NVMLError_") or str(failure))
    try:
        version = pynvml.nvmlSystemGetCudaDriverVersion_v2()
        cards = []
        for index in range(pynvml.nvmlDeviceGetCount()):
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
            capability = tuple(pynvml.nvmlDeviceGetCudaComputeCapability(handle))
            name = str(pynvml.nvmlDeviceGetName(handle))
            cards.append(Card(name, int(memory.total), int(memory.free), (capability[0], capability[1])))
        return Found(tuple(cards), str(pynvml.nvmlSystemGetDriverVersion()), (version // 1000, version % 1000 // 10))
    except pynvml.NVMLError as failure:
        return Found(error=type(failure).__name__.removeprefix("NVMLError_") or str(failure))
    finally:
        pynvml.nvmlShutdown()


def ask_torch(limit_s: float = CHILD_S) -> dict[str, Any]:
    """PyTorch's version, its CUDA, and whether it can use a card; {"error"} where it cannot be asked."""
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", _ASK_TORCH],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=limit_s,
        )
        told = json.loads(done.stdout) if done.returncode == 0 else {}
    except (OSError, subprocess.TimeoutExpired, ValueError):
        return {"error": "it did not answer"}
    if not isinstance(told, dict) or not told:
        return {"error": (done.stderr.strip().splitlines() or ["it cannot be loaded"])[-1][:120]}
    return told


def judge(found: Found, torch: Mapping[str, Any] | None, ms: int = 0) -> Report:
    """The report on what driver and PyTorch said."""
    facts: dict[str, Any] = {
        "driver": found.driver,
        "cards": [asdict(c) for c in found.cards],
        "torch": dict(torch or {}),
    }
    if not found.cards:
        why = Line("PyTorch", "skipped", "Not asked, since there is no card to use")
        return Report((_no_card(found, ms), Line("memory", "skipped", "There is no card"), why), facts)
    names = ", ".join(f"{c.name}" for c in found.cards)
    driver = Line("driver", "ok", f"{names}: driver {found.driver}, for CUDA {_dotted(found.cuda)} and older", ms=ms)
    facts["fits"] = [fits(card) for card in found.cards]
    return Report((driver, *(_memory(card) for card in found.cards), _build(found, torch or {})), facts)


def fits(card: Card) -> dict[str, Any]:
    """What an otherwise empty card holds: models to score with (bf16), and whether it can train."""
    room = card.memory - ACTIVATIONS
    return {"models": max(0, int(room // MODEL_BF16)), "train": card.memory >= TRAIN_LEAN + ACTIVATIONS,
            "train_plain": card.memory >= TRAIN_PLAIN}  # fmt: skip


def _no_card(found: Found, ms: int) -> Line:
    if found.error in ("LibraryNotFound", "LibRmVersionMismatch", "DriverNotLoaded"):
        known = {
            "LibraryNotFound": ("There is no NVIDIA driver here, so scoring runs on the processor", "on a GPU machine "
                                "install the driver, or give the container its GPUs (--gpus all)"),
            "LibRmVersionMismatch": ("The NVIDIA driver was updated and its old half is still loaded", "restart this "
                                     "machine"),
            "DriverNotLoaded": ("The NVIDIA driver is installed and not loaded", "load it with modprobe nvidia, or "
                                "restart this machine"),
        }  # fmt: skip
        return Line("driver", "warn", *known[found.error], ms)
    if found.error == "NoPermission":
        return Line("driver", "bad", "This user may not use the cards", "add it to the group video or render", ms)
    if found.error:
        return Line(
            "driver", "bad", f"The NVIDIA driver fails ({found.error:.40})", "see dmesg, and restart this machine", ms
        )
    return Line(
        "driver", "warn", "The driver is there and knows no card", "give this container or machine its GPUs", ms
    )


def _memory(card: Card) -> Line:
    room = fits(card)
    size, free = card.memory / GB, card.free / GB
    if room["models"] < 1:
        return Line("memory", "bad", f"{card.name} has {size:.0f} GB, too little for one model",
                    "score on the processor, or take a card of 8 GB or more")  # fmt: skip
    train = "training at the quickstart's own settings" if room["train_plain"] else "training in bf16 with recomputing"
    what = f"{room['models']} models to score at once, {train if room['train'] else 'no training'}"
    if card.free < 0.5 * card.memory:
        return Line("memory", "warn", f"{card.name} has only {free:.0f} of {size:.0f} GB free",
                    "end what else uses it (nvidia-smi shows it)")  # fmt: skip
    if not room["train"]:
        return Line("memory", "warn", f"{card.name}, {size:.0f} GB: {what}", "score here, and train on 24 GB or more")
    return Line("memory", "ok", f"{card.name}, {size:.0f} GB: {what}")


def _build(found: Found, torch: Mapping[str, Any]) -> Line:
    """Whether PyTorch was built for a CUDA that the driver can run."""
    version, built = str(torch.get("version", "")), torch.get("cuda")
    if torch.get("error"):
        return Line("PyTorch", "bad", f"PyTorch cannot be asked ({torch['error']:.120})", "install somatui again")
    if not built:
        return Line("PyTorch", "bad", f"PyTorch {version} was built without CUDA, so the card stays idle",
                    "install again with uv tool install --torch-backend=auto somatui")  # fmt: skip
    wanted = tuple(int(n) for n in str(built).split(".")[:2])
    if wanted > found.cuda and (wanted[0] > found.cuda[0] or not torch.get("usable")):
        return Line("PyTorch", "bad", f"PyTorch {version} was built for CUDA {built}, the driver ends at "
                    f"{_dotted(found.cuda)}", "take a build for it (uv tool install --torch-backend=auto somatui) or "
                    "update the driver")  # fmt: skip
    old = [c.name for c in found.cards if (0, 0) < c.capability < OLDEST]
    if old:
        return Line("PyTorch", "bad", f"{old[0]} is older than what PyTorch {version} has code for",
                    "use a card of compute capability 7.0 or newer (V100, T4 and later)")  # fmt: skip
    if not torch.get("usable"):
        return Line("PyTorch", "bad", f"PyTorch {version} for CUDA {built} cannot use the card",
                    "see CUDA_VISIBLE_DEVICES, and that the container has its GPUs")  # fmt: skip
    return Line("PyTorch", "ok", f"PyTorch {version} for CUDA {built} uses the card")


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
