"""Real stores are tried, and how their objects become public is found: policy, ACL, an address of its own, or not."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from somatui.domain.report import Line, Report
from somatui.engine.cipher import checksum
from somatui.storage.checks import check, near, short_rule, timed
from somatui.storage.outside import glance, look
from somatui.storage.provider import provider_of
from tests import servers
from tests.storage import stores


def tried(url: str, **more: Any) -> Report:
    how = {name: more.pop(name) for name in ("policy", "limit_s") if name in more}
    return check({"endpoint": url, "bucket": "bucket"} | more, *stores.PAIR, again_s=(), **how)


def line(report: Report, name: str) -> Line:
    return next(one for one in report.lines if one.name == name)


@pytest.fixture(scope="module")
def weed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with stores.seaweed(tmp_path_factory.mktemp("weed")) as url:
        yield url


@pytest.mark.slow
def test_a_policy_opens_a_bucket_and_a_bucket_made_private_afterwards_is_noticed(weed: str) -> None:
    private = tried(weed)
    assert not private.ok and private.trouble is not None
    assert (private.trouble.name, private.trouble.status) == ("anonymous read", "bad")
    opened = tried(weed, policy=True)
    assert opened.ok and opened.facts["public_mode"] == "policy"
    assert tried(weed).facts["public_mode"] == "policy"
    stores.client(weed).delete_bucket_policy(Bucket="bucket")
    again = tried(weed)
    assert not again.ok and "private" in line(again, "anonymous read").detail
    assert [one.status for one in again.lines if one.name in ("signed put", "head", "delete")] == ["ok"] * 3


@pytest.mark.slow
def test_nothing_that_was_tried_is_left_in_the_store(weed: str) -> None:
    tried(weed)
    found = stores.client(weed).list_objects_v2(Bucket="bucket").get("Contents", [])
    assert [one["Key"] for one in found] == ["first"]


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with stores.moto() as url:
        yield url


@pytest.mark.slow
def test_acls_open_objects_where_there_is_no_policy(moto: str) -> None:
    found = tried(moto)
    assert found.ok and found.facts["public_mode"] == "acl"
    assert line(found, "from elsewhere").status == "warn"


@pytest.mark.slow
def test_a_bucket_that_takes_no_acls_is_told_to_have_a_policy(moto: str) -> None:
    with stores.before(moto, stores.no_acls) as url:
        found = tried(url)
        assert "takes no ACLs" in line(found, "anonymous read").detail
        assert "policy" in line(found, "anonymous read").cure
        assert tried(url, policy=True).facts["public_mode"] == "policy"
    stores.client(moto).delete_bucket_policy(Bucket="bucket")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("days", "prefix", "status"), [(1, "", "warn"), (2, "data/", "warn"), (3, "", "ok"), (1, "logs/", "ok")]
)
def test_rules_that_delete_too_soon_are_warned_of(moto: str, days: int, prefix: str, status: str) -> None:
    rule = {"ID": "tidy", "Status": "Enabled", "Filter": {"Prefix": prefix}, "Expiration": {"Days": days}}
    stores.client(moto).put_bucket_lifecycle_configuration(Bucket="bucket", LifecycleConfiguration={"Rules": [rule]})
    found = line(tried(moto), "lifecycle")
    assert found.status == status
    assert status == "ok" or ("tidy" in found.detail and "three days" in found.cure)
    stores.client(moto).delete_bucket_lifecycle(Bucket="bucket")


def test_rules_by_date_by_tag_and_switched_off_are_read_as_they_are_meant() -> None:
    soon = {"Status": "Enabled", "Expiration": {"Date": datetime.now(UTC) + timedelta(hours=5)}}
    assert short_rule(soon) == pytest.approx(5 / 24, abs=0.01)
    assert short_rule(soon | {"Status": "Disabled"}) is None
    assert short_rule(soon | {"Filter": {"Tag": {"Key": "a", "Value": "b"}}}) is None
    assert short_rule({"Status": "Enabled", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}}) is None


def test_the_practice_networks_store_is_public_at_its_own_address(tmp_path: Path) -> None:
    with stores.running(tmp_path) as store:
        found = tried(store.endpoint, bucket="practice", public_url=store.public_url)
        assert found.ok and found.facts["public_mode"] == "public_url"
        assert [one.status for one in found.lines] == ["ok"] * 5
        wrong = tried(store.endpoint, bucket="practice", public_url=servers.NOBODY)
        assert wrong.ok and line(wrong, "anonymous read").status == "warn"
        assert wrong.facts["public_url"] == ""


@pytest.mark.parametrize(
    ("endpoint", "name"),
    [
        (f"https://{'ab' * 16}.r2.cloudflarestorage.com", "r2"), ("https://s3.eu-west-1.amazonaws.com", "aws"),
        ("", "aws"),
        ("https://storage.googleapis.com", "gcs"), ("https://minio.example:9000", "other"),
    ],
)  # fmt: skip
def test_the_provider_is_known_by_its_endpoint(endpoint: str, name: str) -> None:
    assert provider_of(endpoint).name == name
    assert provider_of("http://127.0.0.1:9", "practice").name == "practice"


def test_a_redirect_is_followed_and_an_object_behind_it_is_seen() -> None:
    with (
        servers.answering(servers.always(200, b"hello")) as end,
        servers.answering(servers.always(302, Location=end + "/elsewhere")) as start,
        servers.answering(lambda _m, path, *_: (302, {"Location": path}, b"")) as circle,
    ):
        seen = look(start + "/key", checksum(b"hello"), 5)
        assert seen.ok and seen.url == end + "/elsewhere"
        assert "circle" in look(circle + "/key", checksum(b"hello"), 5).detail


def test_a_certificate_is_named_and_waiting_does_not_mend_it(tmp_path: Path) -> None:
    own = servers.certificate(tmp_path / "own", days=30)
    with servers.answering(servers.always(200, b"hello"), own) as url:
        seen = look(url + "/key", checksum(b"hello"), 5)
    assert "signed by itself" in seen.detail and "known authority" in seen.cure
    assert not seen.passing


class Ranges(http.server.BaseHTTPRequestHandler):
    """Serves parts of `data`, or the whole where `ranges` is off."""

    data, ranges = bytes(range(256)) * 40, True

    def do_GET(self) -> None:
        first, last = (int(n) for n in self.headers["Range"].removeprefix("bytes=").split("-"))
        body = self.data[first : last + 1] if self.ranges else self.data
        self.send_response(206 if self.ranges else 200)
        if self.ranges:
            self.send_header("Content-Range", f"bytes {first}-{first + len(body) - 1}/{len(self.data)}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def test_a_large_object_is_known_by_its_length_and_both_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    data = Ranges.data
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Ranges) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/key"
        assert glance(url, data[:99], data[-99:], len(data)).ok
        assert "others" in glance(url, data[:99], data[:99], len(data)).detail
        assert "has 10240 bytes" in glance(url, data[:99], data[-99:], 10_241).detail
        monkeypatch.setattr(Ranges, "ranges", False)
        assert "no range requests" in glance(url, data[:99], data[-99:], len(data)).detail
        server.shutdown()


def test_what_works_slowly_is_a_warning_and_addresses_of_this_machine_are_known() -> None:
    slow = timed(Line("signed put", "ok", "Signed put works", ms=4_200))
    assert (slow.status, "4.2 s" in slow.detail, bool(slow.cure)) == ("warn", True, True)
    assert [near(h) for h in ("127.0.0.1", "10.0.0.7", "nas.local", "s3.example.com")] == [True, True, True, False]
