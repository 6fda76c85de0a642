"""soma_sdk itself, from a script that knows nothing of this project, against a network on the default ports."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import base58
import boto3
import numpy as np
import pytest
from botocore.config import Config

from somatui.engine import weights
from somatui.practice import client
from somatui.practice.card import NetworkInfo, ServeError
from somatui.practice.genesis import encrypt

SOMA = 1_000_000_000
SEED = 7
"""The seed of the whole day that is measured (tests/cli/test_whole.py): its network's models are this one's too."""


def started(folder: Path) -> tuple[NetworkInfo, dict[str, str]]:
    """A network, and where the script finds it: on the default ports, or beside another that holds them."""
    try:
        return client.start_network(folder, seed=SEED), {"chain": "localnet"}
    except ServeError as why:
        if "is taken" not in str(why):
            raise
    info = client.start_network(folder, "free", SEED)
    return info, {f"{name}_url": getattr(info, f"{name}_url") for name in ("rpc", "faucet", "scoring", "admin")}


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("seeded_home")
def test_a_script_of_the_sdk_does_an_operators_day_with_real_scores(tmp_path: Path) -> None:
    info, found_at = started(tmp_path)
    try:
        s3 = boto3.client(
            "s3", endpoint_url=info.store_url, region_name="auto", aws_access_key_id=info.access_key,
            aws_secret_access_key=info.secret_key, config=Config(s3={"addressing_style": "path"}),
        )  # fmt: skip
        secret = bytes(range(32))
        sealed = encrypt(weights.to_bytes(weights.initial(weights.SMALL, 5)), secret)
        s3.put_object(Bucket=info.bucket, Key="weights", Body=sealed)
        s3.put_object(Bucket=info.bucket, Key="data", Body=Path(json.__file__).read_bytes()[:3000])
        place = f"{info.store_url}/{info.bucket}"
        embedding = np.random.default_rng(1).normal(size=16).tolist()
        words = [f"{place}/data", f"{place}/weights", base58.b58encode(secret).decode(), json.dumps(embedding)]
        words.append(json.dumps(found_at))
        done = subprocess.run(
            [sys.executable, str(Path(__file__).with_name("sdk_script.py")), *words], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        told = {k: round(v * SOMA) if isinstance(v, float) else v for k, v in json.loads(done.stdout).items()}
    finally:
        client.stop_network(tmp_path)
    assert told["created"] == 5 * SOMA - 500_000 - 1900
    spent = told["created"] - told["submitted"] - told["bond"]
    assert spent in (2 * 1600 + 2200, 2 * 1600 + 2500), "one coin as gas and bond, or two"
    others = 0 if told["own"] else told["reward"] * 4975 // 10_000
    fee = 1000 + 6 * 300 + told["reward"] * (told["rate"] // 2) // 10_000
    assert told["claimed"] - told["submitted"] == told["reward"] - others + told["bond"] - fee
    assert told["claimed"] - told["end"] == 1000 + 2 * 300 + told["smallest"] * told["rate"] // 10_000
    assert told["coins"] == 2
