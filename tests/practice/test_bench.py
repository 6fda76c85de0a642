"""The bench of the practice network, cut short: every figure is there, in the shape that scripts rely on."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


@pytest.mark.slow
def test_the_bench_tells_every_figure_with_its_unit() -> None:
    words = [sys.executable, "-m", "somatui", "bench", "practice", "--short", "--json"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=100, check=True)
    document = json.loads(done.stdout)
    assert document["machine"]["cpus"] >= 1
    found = {one["name"]: one for one in document["results"]}
    units = {"tx_per_s_1": "1/s", "tx_per_s_16": "1/s", "latency_p50_ms": "ms", "epoch_change_500_s": "s",
             "read_p99_ms": "ms", "rss_mb": "MB", "latency_lag_p50_ms": "ms"}  # fmt: skip
    assert found.keys() == {f"practice.{name}" for name in (*units, "cost_growth_100k", "latency_over_lag")}
    assert all(found[f"practice.{name}"]["unit"] == unit for name, unit in units.items())
    assert found["practice.cost_growth_100k"].keys() == {"name", "ratio"}
    assert all(one.get("value", one.get("ratio")) > 0 for one in found.values())
