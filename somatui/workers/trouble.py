"""What ails a card that a worker cannot go on with, in one sentence with the cure; the standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

MEMORY = "end what else uses the card (nvidia-smi shows it), or score with fewer models at once"
RESTART = "restart this machine, and have the card looked at when it happens again"
AGAIN = "start the job again (somatui jobs restart), and see dmesg when it happens again"
ABSENT = "see nvidia-smi, CUDA_VISIBLE_DEVICES, and that the container has its cards"
XIDS: Mapping[int, tuple[str, str]] = {
    13: ("a fault of the program on the card", AGAIN),
    31: ("a fault of the card's memory addresses", AGAIN),
    43: ("the card stopped the program", AGAIN),
    45: ("the driver ended the program", AGAIN),
    48: ("ECC: two wrong bits in the card's memory", RESTART),
    62: ("the card's own controller halted", RESTART),
    63: ("ECC: a row of the card's memory was replaced", RESTART),
    64: ("ECC: a row of the card's memory could not be replaced", "have the card replaced"),
    74: ("an error of NVLink", RESTART),
    79: ("the card has fallen off the bus", "see to its power and its slot, and restart this machine"),
    92: ("ECC: many single wrong bits", RESTART),
    94: ("ECC: wrong bits, contained to this program", AGAIN),
    95: ("ECC: wrong bits, not contained", RESTART),
    119: ("the card's own processor does not answer", RESTART),
    120: ("the card's own processor failed", RESTART),
    140: ("ECC: wrong bits that could not be mended", RESTART),
    154: ("the driver says that the card has to recover", "see dmesg for how, or restart this machine"),
}
"""The driver's error numbers that stop a program, from NVIDIA's catalogue: what each is, and what cures it."""
FOLLOWING = frozenset({45, 154})
"""Those that come after another one, which is the cause."""
_ABSENT = (
    "no CUDA GPUs are available", "no CUDA-capable device", "not compiled with CUDA", "invalid device ordinal",
    "found no NVIDIA driver", "NVIDIA driver on your system is too old", "CUDA driver initialization failed",
    "CUDA unknown error", "error from cudaGetDeviceCount()",
)  # fmt: skip
_LIBRARIES = ("CUBLAS_STATUS", "CUDNN_STATUS", "cuBLAS", "NCCL", "cufft")


def of_failure(failure: BaseException) -> str | None:
    """The sentence for an exception that a card caused, None for any other. It begins with the cause."""
    first = str(failure).strip().partition("\n")[0]
    text = " ".join(str(failure).split())
    lower = text.lower()
    if "OutOfMemoryError" in {c.__name__ for c in type(failure).__mro__} or "cublas_status_alloc_failed" in lower:
        return f"out of memory: the card's memory does not hold what it was given; {MEMORY}."
    if any(known.lower() in lower for known in _ABSENT):
        return f"no card: PyTorch can use none here; {ABSENT}."
    if "CUDA error: " not in text and not any(known in text for known in _LIBRARIES):
        return None
    # Where to read more follows in further lines, and is about PyTorch's own code.
    what = (first.partition("CUDA error: ")[2] or first).rstrip(".")
    if "out of memory" in lower:
        return f"out of memory: the card's memory does not hold what it was given; {MEMORY}."
    if "ecc error" in lower:
        return f"ECC: the card's memory has wrong bits ({what:.80}); {RESTART}."
    return f"CUDA error: {what:.120}; {AGAIN}."


def of_xid(number: int) -> str:
    """The sentence for a number that the driver told of a card."""
    what, cure = XIDS.get(number, ("the driver stopped what ran on the card", AGAIN))
    return f"Xid {number}: {what}; {cure}."


def of_status(status: int, times: int, log: Path) -> str:
    """The sentence for a worker that died and died again, told by its last exit status (negative for a signal)."""
    if status == -9:
        return (f"killed {times} times: the system ended the worker, as it does when memory is short; "
                "free memory, or score with fewer shards.")  # fmt: skip
    return f"died {times} times: the worker ended with status {status}; see {log}, and start the job again."
