"""A quickstart's `.env`: what is read, where it goes, and a sentence for each usual mistake in it."""

from __future__ import annotations

import os

import pytest

from somatui.agent import envfile, mnemonics
from somatui.agent.envfile import Item
from somatui.wire.text import b58encode

SEED = bytes(range(1, 33))
PLANT = "planted0123456789" * 3
STORE = {
    "S3_BUCKET": "soma-data",
    "S3_ENDPOINT_URL": "https://acc.r2.cloudflarestorage.com",
    "S3_ACCESS_KEY_ID": "a1" * 16,
    "S3_SECRET_ACCESS_KEY": PLANT,
    "S3_PUBLIC_URL": "https://pub-1.r2.dev",
}


def read(text: str) -> list[Item]:
    return envfile.read(text, lambda found: mnemonics.address_of_key(mnemonics.key_of(found)))


def one(name: str, value: str) -> Item:
    """The item of that name in a file with a whole store, where only this value is another."""
    lines = "".join(f"{n}={v}\n" for n, v in ({**STORE, name: value}).items())
    return next(i for i in read(lines) if i.name == name)


WRITTEN = [
    "S3_BUCKET=soma-data",
    "export S3_BUCKET=soma-data",
    "S3_BUCKET = soma-data   ",
    'S3_BUCKET="soma-data"',
    "S3_BUCKET='soma-data'  # the one in the west",
    "S3_BUCKET=soma-data # the one in the west",
    "S3_BUCKET=soma-data\r",
    "\ufeffS3_BUCKET=soma-data",
    'S3_BUCKET="soma-data\\n"',
    "s3_bucket=soma-data",
]


@pytest.mark.parametrize("line", WRITTEN)
def test_a_value_is_the_same_however_its_line_is_written(line: str) -> None:
    found = next(i for i in read(f"{line}\nS3_ENDPOINT_URL=https://s3.example.com\n") if i.role == "bucket")
    assert (found.value, found.moves) == ("soma-data", True)


PUT_RIGHT = [
    ("S3_ENDPOINT_URL", "acc.r2.cloudflarestorage.com", "https://acc.r2.cloudflarestorage.com", "https:// was missing"),
    ("S3_ENDPOINT_URL", STORE["S3_ENDPOINT_URL"] + "/", STORE["S3_ENDPOINT_URL"], ""),
    ("S3_ENDPOINT_URL", STORE["S3_ENDPOINT_URL"] + "/soma-data", STORE["S3_ENDPOINT_URL"], "The bucket's name stood"),
    ("S3_ENDPOINT_URL", "https://soma-data.s3.example.com", "https://s3.example.com", "The bucket's name stood"),
    ("S3_ENDPOINT_URL", "http://s3.example.com", "http://s3.example.com", "sends in the open"),
    ("S3_ENDPOINT_URL", "http://127.0.0.1:9000", "http://127.0.0.1:9000", ""),
    ("S3_PUBLIC_URL", "pub-1.r2.dev", "https://pub-1.r2.dev", "https:// was missing"),
    ("S3_BUCKET", "s3://soma-data/", "soma-data", "s3:// is no part"),
    ("SOMA_SECRET_KEY", SEED.hex(), SEED.hex(), ""),
    ("SOMA_SECRET_KEY", f"'{SEED.hex()} '", f"{SEED.hex()}", "Spaces or a newline"),
    ("SOMA_SECRET_KEY", f'"\\"{SEED.hex()}\\""', f'"{SEED.hex()}"', "Quotes stood around it"),
    ("SOMA_SECRET_KEY", "abandon " * 11 + "about", "abandon " * 11 + "about", "A mnemonic in the field of the key"),
    ("SOMA_MNEMONIC", "abandon " * 11 + "about", "abandon " * 11 + "about", ""),
    ("HF_TOKEN", "hf_" + "a" * 34, "hf_" + "a" * 34, ""),
    ("WEBHOOK_URL", "https://hooks.example.com/x", "https://hooks.example.com/x", ""),
]


@pytest.mark.parametrize(("name", "value", "becomes", "says"), PUT_RIGHT, ids=range(len(PUT_RIGHT)))
def test_what_can_be_put_right_is_and_says_so(name: str, value: str, becomes: str, says: str) -> None:
    found = one(name, value)
    assert found.moves and found.value == becomes and found.goes_to
    assert says in found.problem and bool(says) == bool(found.problem)


REFUSED = [
    ("SOMA_SECRET_KEY", "", "Empty"),
    ("SOMA_SECRET_KEY", "your_key_here", "placeholder"),
    ("SOMA_SECRET_KEY", b58encode(SEED), "That is Base58"),
    ("SOMA_SECRET_KEY", SEED.hex()[:-1], "63"),
    ("SOMA_SECRET_KEY", "abandon " * 12, "do not belong together"),
    ("SOMA_SECRET_KEY", "${KEY}", "another variable"),
    ("HF_TOKEN", "my token", "begins with hf_"),
    ("HF_TOKEN", "<token>", "placeholder"),
    ("S3_ENDPOINT_URL", "https://dash.cloudflare.com/acc/r2", "dashboard"),
    ("S3_ENDPOINT_URL", "https://pub-1.r2.dev", "belongs into S3_PUBLIC_URL"),
    ("S3_ENDPOINT_URL", "https://s3.example.com/other", "A path stands behind"),
    ("S3_ENDPOINT_URL", "soma-data", "Not a web address"),
    ("S3_PUBLIC_URL", "https://acc.r2.cloudflarestorage.com/soma-data", "where nobody can read"),
    ("S3_ENDPOINT_URL", "https://id:hidden@s3.example.com", "A password stands in it"),  # pragma: allowlist secret
    ("S3_BUCKET", "https://s3.example.com/soma", "Not a bucket's name"),
    ("S3_BUCKET", "Soma_Data", "Not a bucket's name"),
    ("S3_ACCESS_KEY_ID", "ab" * 32, "seem to be swapped"),
    ("S3_SECRET_ACCESS_KEY", "AKIA" + "A" * 16, "seem to be swapped"),
    ("S3_SECRET_ACCESS_KEY", "'two parts'", "Spaces stand inside"),
    ("OTHER", "1", "Not known here"),
]


@pytest.mark.parametrize(("name", "value", "says"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_wrong_stays_in_the_file_and_says_why(name: str, value: str, says: str) -> None:
    found = one(name, value)
    assert not found.moves and not found.goes_to and says in found.problem and "hidden" not in found.masked


def test_a_half_alone_does_not_move() -> None:
    for alone in ("S3_BUCKET", "S3_ENDPOINT_URL", "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY", "S3_PUBLIC_URL"):
        (found,) = read(f"{alone}={STORE[alone]}")
        assert not found.moves and "both are needed" in found.problem


def test_of_a_name_that_stands_twice_the_last_counts() -> None:
    first, last = read(f"HF_TOKEN=hf_{'a' * 20}\nHUGGING_FACE_HUB_TOKEN=hf_{'b' * 20}\n")
    assert (first.moves, last.moves) == (False, True) and "stands again" in first.problem


def test_a_line_that_cannot_be_read_is_named_by_its_number() -> None:
    found = read('A=1\nB="open\n')
    assert found[1].name == "line 2" and "a quote is open" in found[1].problem


def test_values_are_never_taken_from_or_put_into_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3_BUCKET", "from-outside")
    before = dict(os.environ)
    items = read("A=$S3_BUCKET\nHF_TOKEN=hf_aaaaaaaaaaaa\n")
    assert items[0].value == "$S3_BUCKET" and dict(os.environ) == before


def test_no_secret_shows_in_what_is_told() -> None:
    text = f"SOMA_SECRET_KEY={SEED.hex()}\nHF_TOKEN=hf_{PLANT}\n" + "".join(f"{n}={v}\n" for n, v in STORE.items())
    for item in read(text):
        shown = f"{item!r} {item.masked} {item.goes_to} {item.problem}"
        assert PLANT not in shown and SEED.hex() not in shown and "a1a1" not in shown


def test_what_is_left_over_is_the_file_without_what_moved() -> None:
    text = f"# keys\nexport HF_TOKEN = 'hf_{PLANT}' # mine\r\nOTHER=1\n\n# end\n"
    assert envfile.left_over(read(text), text) == "# keys\nOTHER=1\n\n# end\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("A=1\nB=2\n", "without SOMA_SECRET_KEY"),
        ("SOMA_SECRET_KEY=abc\nB=2\n", "no secret"),
    ],
)
def test_a_file_without_a_key_says_so(text: str, says: str) -> None:
    assert envfile.looks_like_env(text)
    with pytest.raises(ValueError, match=says):
        envfile.key_in(text)


def test_a_keystore_entry_is_no_env_file() -> None:
    assert not envfile.looks_like_env("AAEC" * 10 + "=\n")
