"""Scores over an address: the recorded answers come out, and whatever is wrong with a request harms nobody else."""

from __future__ import annotations

import contextlib
import io
import json
import os
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import base58
import numpy as np
import pytest
import torch

from somatui.engine import known, weights
from somatui.workers import scoring_service
from somatui.workers.scoring_service import Kept, RequestError, Service, fetch, request_of
from tests.golden.scoring import recipe

GOLDEN = Path(__file__).parent.parent / "golden" / "scoring"
CASE = next(c for c in json.loads((GOLDEN / "cases.json").read_text()) if c["name"] == "small-text-1500")
ANSWER = next(a for a in map(json.loads, (GOLDEN / "expected.jsonl").open()) if a["name"] == CASE["name"])
KEY = bytes(range(32))


class Place:
    """An address with files, and how often each was asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        place = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                place.asked.append(self.path[1:])
                data = place.files.get(self.path[1:])
                self.send_response(200 if data is not None else 404)
                self.send_header("Content-Length", str(len(data or b"")))
                self.end_headers()
                self.wfile.write(data or b"")

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def put(self, name: str, data: bytes) -> dict[str, Any]:
        """Put a file there; its manifest."""
        self.files[name] = data
        checksum = base58.b58encode(weights.checksum(data)).decode()
        return {"url": f"http://127.0.0.1:{self.server.server_port}/{name}", "checksum": checksum, "size": len(data)}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Service:
    """One that goes on through everything that is wrong."""
    return Service(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    made = Place()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def request(place: Place, number: int = 1) -> dict[str, Any]:
    """The recorded case as a request; the first model is encrypted, the others lie open."""
    models = []
    for n, seed in enumerate(CASE["model_seeds"]):
        plain = weights.to_bytes({k: torch.from_numpy(v) for k, v in recipe.weights(CASE["config"], seed).items()})
        manifest = place.put(f"model-{n}", plain if n else weights.crypt(plain, KEY))
        models.append(manifest | {"key": None if n else base58.b58encode(KEY).decode()})
    data = place.put("data", recipe.data_bytes(**CASE["data"]))
    return {
        "id": number, "data_url": data["url"], "data_checksum": data["checksum"], "data_size": data["size"],
        "models": models, "target_embedding": recipe.target(16, CASE["target_seed"]).tolist(), "seed": 0,
    }  # fmt: skip


def check(answer: dict[str, Any]) -> None:
    """Hold an answer against the recording."""
    best = ANSWER["models"][ANSWER["winner"]]
    assert answer["ok"] is True
    assert answer["winner"] == ANSWER["winner"]
    assert answer["loss"] == pytest.approx(best["loss"], rel=1e-5)
    assert answer["distance"] == pytest.approx(best["distance"], abs=1e-5)
    assert np.abs(np.array(answer["embedding"]) - best["embedding"]).max() <= 1e-4


def test_the_recorded_answer_comes_out_and_everything_is_fetched_once(place: Place, tmp_path: Path) -> None:
    asked = request(place, 7)
    place.asked.clear()
    for service in (first := Service(tmp_path), first, Service(tmp_path)):
        answer = service.answer(asked)
        assert answer["id"] == 7
        check(answer)
    # The third is a new process's: the data are not kept for it, the weights are.
    assert sorted(place.asked) == ["data", "data", "model-0", "model-1", "model-2"]
    names = {m["checksum"] for m in asked["models"]}
    assert {p.name.partition(".")[0] for p in tmp_path.iterdir()} == names and len(names) == 3


def test_data_that_were_seen_are_scored_though_their_address_is_dead(place: Place, service: Service) -> None:
    asked = request(place)
    check(service.answer(asked))
    check(service.answer(asked | {"data_url": place.put("x", b"x")["url"][:-1] + "none"}))


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"models": []}, "At least one model manifest is required"),
    ({"target_embedding": []}, "Target embedding must not be empty"),
    ({"target_embedding": [1.0] * 3}, "Invalid target embedding"),
    ({"target_embedding": [0.0] * 16}, "must be finite and not all zero"),
    ({"data_checksum": "1" * 32}, "Checksum mismatch"),
    ({"data_checksum": "0OIl"}, "Invalid checksum"),
    ({"data_checksum": "abc"}, "Invalid checksum"),
    ({"data_checksum": "2" * 4_000_000}, "Invalid checksum: it has 4000000 letters"),
    ({"data_size": 1499}, "Runtime competition error: Blob error: size mismatch: expected 1499 bytes, got 1500 bytes"),
    ({"data_size": 1501}, "size mismatch: expected 1501 bytes, got 1500 bytes"),
    ({"data_size": 2**40}, "Invalid size"),
    ({"data_checksum": "2" * 44, "data_url": "file:///etc/hostname"}, "no http address"),
    ({"data_checksum": "2" * 44, "data_url": "http://127.0.0.1:1/data"}, "cannot be fetched"),
    ({"seed": None}, "Invalid request"),
    ({"seed": 2**64}, "Invalid request"),
]


@pytest.mark.parametrize(("change", "says"), WRONG, ids=[says for _, says in WRONG])
def test_a_wrong_request_is_refused_and_the_next_is_answered(
    place: Place, service: Service, change: dict[str, Any], says: str
) -> None:
    right = request(place)
    refused = service.answer(right | change)
    assert refused["ok"] is False
    assert says in refused["error"]
    check(service.answer(right))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"checksum": "../../etc/passwd"}, "Invalid checksum"), ({"size": 0}, "Invalid size"),
        ({"size": 2**50}, "Invalid size"), ({"url": "ftp://h/x"}, "no http address"), ({"url": "/none"}, "is 404"),
        ({"checksum": "2" * 44}, "cannot be had"), ({"size": 10_000}, "cannot be had"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("sealed", [True, False])
def test_a_wrong_manifest_leaves_no_file_and_harms_no_other(
    place: Place, tmp_path: Path, change: dict[str, Any], says: str, sealed: bool
) -> None:
    asked, folder = request(place), tmp_path / "weights"
    model = asked["models"][0 if sealed else 1] | change
    if model["url"] == "/none":
        model["url"] = place.put("x", b"x")["url"][:-1] + "none"
    answer = Service(folder).answer(asked | {"models": [model]})
    assert answer["ok"] is False
    assert says in answer["error"]
    assert not folder.exists() or list(folder.iterdir()) == []
    assert list(tmp_path.iterdir()) in ([], [folder])


@pytest.mark.parametrize("line", ["", "nothing", "[]", "{}", '{"id":3}', '{"id":3,"models":7,"target_embedding":"x"}'])
def test_a_line_that_is_no_request_is_refused(line: str, service: Service) -> None:
    assert service.answer(request_of(line))["ok"] is False


@pytest.mark.parametrize("key", [base58.b58encode(bytes(32)).decode(), base58.b58encode(b"short").decode(), None])
def test_a_model_that_cannot_be_opened_is_invalid_and_not_kept(place: Place, key: str | None, tmp_path: Path) -> None:
    asked = request(place)
    asked["models"][0]["key"] = key
    answer = Service(tmp_path).answer(asked)
    assert answer["ok"] is False
    assert answer["error"].startswith(f"Invalid model {asked['models'][0]['checksum']}")
    assert list(tmp_path.glob("*.safetensors")) == []


def test_a_missing_file_is_told_with_the_servers_answer(place: Place, tmp_path: Path) -> None:
    asked = request(place)
    del place.files["data"]
    assert "answers 404" in Service(tmp_path).answer(asked)["error"]


def test_what_is_longer_than_its_manifest_is_not_read_to_its_end(place: Place) -> None:
    manifest = place.put("long", b"x" * 1000)
    with pytest.raises(RequestError, match="size mismatch: expected 10 bytes, got 1000 bytes"):
        fetch(manifest["url"], manifest["checksum"], 10)


def test_data_that_drip_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring_service, "FETCH_S", 0.1)

    class Dripping(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                while True:
                    self.wfile.write(b"x")

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Dripping) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        with pytest.raises(RequestError, match=r"cannot be fetched \(not whole after 0.1 s\)"):
            fetch(f"http://127.0.0.1:{server.server_port}/", "4" * 44, 1_000_000)
        server.shutdown()


def test_the_real_architecture_is_not_too_large() -> None:
    numbers = sum(np.prod(shape) for shape in weights.tensor_shapes(weights.FULL).values())
    assert 4 * numbers < scoring_service.LARGEST


def test_what_is_kept_has_no_more_bytes_than_allowed_but_always_the_newest() -> None:
    kept, made = Kept[str](100), list[str]()

    def get(name: str, size: int) -> str:
        return kept.get(name, size, lambda: made.append(name) or name)

    for name, size in (("a", 40), ("b", 40), ("a", 40), ("c", 40), ("a", 40), ("b", 40), ("huge", 500), ("c", 40)):
        assert get(name, size) == name
    assert made == ["a", "b", "c", "b", "huge", "c"]


def test_the_known_candidate_is_the_recorded_one_and_health_is_its_real_score(tmp_path: Path) -> None:
    case = next(c for c in json.loads((GOLDEN / "cases.json").read_text()) if c["name"] == "small-noise-10000")
    recorded = next(a for a in map(json.loads, (GOLDEN / "expected.jsonl").open()) if a["name"] == case["name"])
    theirs = recipe.weights(case["config"], case["model_seeds"][0])
    assert all(np.array_equal(known.tensors()[name].numpy(), theirs[name]) for name in theirs)
    assert known.data() == recipe.data_bytes(**case["data"])
    assert tuple(recorded["models"][0][n] for n in ("loss", "distance")) == (known.LOSS, known.DISTANCE)
    healthy = Service(tmp_path).answer({"id": 4, "health": True})
    assert (healthy["id"], healthy["ok"], healthy["well"]) == (4, True, True)
    assert healthy["loss"] == pytest.approx(known.LOSS, rel=1e-5)
    assert not known.is_right(known.LOSS * 1.001, known.DISTANCE)
    assert not known.is_right(known.LOSS, known.DISTANCE - 0.001)
    assert not known.is_right(float("nan"), known.DISTANCE)


def test_a_machine_that_scores_otherwise_is_not_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exact = scoring_service.contract.SIGREG_WEIGHT
    monkeypatch.setattr(scoring_service.contract, "SIGREG_WEIGHT", exact * 1.1)
    sick = Service(tmp_path).answer({"id": 1, "health": True})
    assert sick["ok"] is True and sick["well"] is False


def test_the_way_over_a_card_gives_the_known_answer_too() -> None:
    way = partial(scoring_service._on, torch.device("cpu"))
    assert known.is_right(*known.answered(way))


def test_a_card_that_fails_is_told_by_its_cause_and_ends_the_process(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("CUDA error: uncorrectable ECC error encountered")

    service = Service(tmp_path)
    monkeypatch.setattr(service._scores, "exact", fail)
    answer = service.answer(request(place))
    assert answer["error"].startswith("ECC: the card's memory has wrong bits") and service.broken
    assert "Traceback" in capfd.readouterr().err


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card")
def test_a_card_is_right_and_gives_the_recorded_answer(place: Place, tmp_path: Path) -> None:
    service = Service(tmp_path, torch.device("cuda", 0))
    assert service.device_is_right()
    check(service.answer(request(place)))


def test_a_request_that_is_given_up_ends_at_the_next_chunk(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, asked = Service(tmp_path), request(place, 1)
    exact, made = service._scores.exact, []

    def counting(*args: Any) -> Any:
        made.append(args)
        if len(made) == 2:
            service.give_up(1)
            service.give_up(2)
        return exact(*args)

    monkeypatch.setattr(service._scores, "exact", counting)
    long = place.put("long", b"0123456789abcdef" * 1024)
    asked |= {"data_url": long["url"], "data_checksum": long["checksum"], "data_size": long["size"]}
    service.expect(1)
    assert "given up" in service.answer(asked)["error"] and len(made) == 2
    assert service.answer(asked)["ok"] is True, "nothing is left of it"
    service.expect(3)
    service.give_up(3)
    place.asked.clear()
    other = place.put("other", b"x")
    never = asked | {"id": 3, "data_url": other["url"], "data_checksum": other["checksum"], "data_size": 1}
    assert "given up" in service.answer(never)["error"] and place.asked == []


def test_a_request_for_what_is_not_to_be_had_drops_nothing_that_is(place: Place, tmp_path: Path) -> None:
    service, asked = Service(tmp_path), request(place)
    check(service.answer(asked))
    place.asked.clear()
    missing = {"url": asked["data_url"] + "-none", "checksum": "2" * 44, "size": 6 * 1024**3, "key": None}
    assert service.answer(asked | {"models": [missing] * 8})["ok"] is False
    held = service._models.held()
    assert len(held) == len(asked["models"])


def test_old_weights_go_and_those_in_use_stay(place: Place, tmp_path: Path) -> None:
    asked, service = request(place), Service(tmp_path, keep=(14, 10**9))
    old = tmp_path / f"{'2' * 44}.sealed"
    for _ in range(2):
        old.touch()
        for file in tmp_path.iterdir():
            os.utime(file, (1, 1))
        service._models._tidy_at = 0.0
        check(service.answer(asked))
        assert not old.exists()
    assert {f.name.partition(".")[0] for f in tmp_path.iterdir()} == {m["checksum"] for m in asked["models"]}


def test_lines_are_answered_in_their_order_and_all_of_them_before_the_end(place: Place, tmp_path: Path) -> None:
    lines = [json.dumps(request(place, 1)), "rubbish", json.dumps(request(place, 2)), '{"id": 3, "health": true}']
    out = io.StringIO()
    assert scoring_service.main(io.StringIO("\n".join(lines) + "\n"), out, tmp_path, torch.device("cpu")) == 0
    answers = [json.loads(line) for line in out.getvalue().splitlines()]
    (health,) = (a for a in answers if "well" in a)
    assert health["id"] == 3 and health["well"] is True
    first, refused, second = (a for a in answers if a is not health)
    assert (first["id"], refused["id"], second["id"]) == (1, None, 2)
    check(first)
    check(second)
    assert refused["ok"] is False
