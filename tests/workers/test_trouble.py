"""What ails a card is told by its cause and its cure, and a worker that it stops says that it is left."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from somatui.workers.protocol import Emitter
from somatui.workers.session import ParkedError, answer
from somatui.workers.trouble import of_failure, of_status, of_xid

SEEN = [
    (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has 79.1 GiB"), "out of memory: "),
    (RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be reported later"), "out of memory: "),
    (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), "out of memory: "),
    (RuntimeError("CUDA error: uncorrectable ECC error encountered\nCUDA kernel errors might"), "ECC: "),
    (RuntimeError("CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be"), "CUDA error: "),
    (RuntimeError("CUDA error: unspecified launch failure"), "CUDA error: unspecified launch failure"),
    (
        RuntimeError(
            "CUDA error: an illegal instruction was encountered\nSearch for `cudaErrorIllegalInstruction' in "
            "https://docs.nvidia.com/cuda/ for more information.\nFor more detailed error information, run with"
        ),
        "CUDA error: an illegal instruction was encountered; start the job again",
    ),
    (RuntimeError("Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU"), "no card: "),
    (
        RuntimeError(
            "Unexpected error from cudaGetDeviceCount(). Did you run some cuda functions before calling "
            "NumCudaDevices() that might have already set an error? Error 802: system not yet initialized"
        ),
        "no card: ",
    ),
    (RuntimeError("No CUDA GPUs are available"), "no card: "),
    (AssertionError("Torch not compiled with CUDA enabled"), "no card: "),
]


@pytest.mark.parametrize(("failure", "begins"), SEEN)
def test_a_card_s_failure_is_one_sentence_that_begins_with_the_cause(failure: Exception, begins: str) -> None:
    told = of_failure(failure)
    assert told is not None and told.startswith(begins)
    assert told.endswith(".") and ("; " in told) and "\n" not in told and "kernel errors" not in told


def test_other_failures_are_not_a_card_s() -> None:
    shapes = RuntimeError("mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)")
    assert [of_failure(f) for f in (shapes, MemoryError(), OSError("disk full"), KeyError("CUDA"))] == [None] * 4


def test_a_number_of_the_driver_is_told_with_what_it_means() -> None:
    assert of_xid(79).startswith("Xid 79: the card has fallen off the bus; see to its power")
    assert of_xid(48).startswith("Xid 48: ECC")
    assert of_xid(999).startswith("Xid 999: ")
    log = Path("/jobs/score-1/shards/0/worker.log")
    assert "memory is short" in of_status(-9, 4, log) and f"status 3; see {log}, and" in of_status(3, 4, log)


def ended(failure: Exception) -> tuple[int, dict[str, Any]]:
    out = io.StringIO()

    def work() -> dict[str, Any]:
        raise failure

    status = answer(Emitter(out), work)
    found: dict[str, Any] = json.loads(out.getvalue())
    return status, found


def test_a_worker_that_a_card_stops_says_that_it_is_left_until_asked() -> None:
    status, told = ended(SEEN[3][0])
    assert (status, told["kind"], told["parked"]) == (1, "failed", True)
    assert told["error"].startswith("ECC: ")
    status, told = ended(ParkedError("Xid 79: gone."))
    assert (status, told["error"], told["parked"]) == (1, "Xid 79: gone.", True)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card")
def test_a_full_card_is_told_as_out_of_memory() -> None:
    with pytest.raises(torch.OutOfMemoryError) as full:
        torch.empty(1 << 50, dtype=torch.uint8, device="cuda")
    assert (of_failure(full.value) or "").startswith("out of memory: ")
