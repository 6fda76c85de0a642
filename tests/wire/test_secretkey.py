"""What people paste as a wallet's secret: forms are read as by the SDK, each usual mistake has its own sentence."""

from __future__ import annotations

import base64
import contextlib
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from soma_sdk import Keypair

from somatui.agent import mnemonics
from somatui.wire import secretkey
from somatui.wire.secretkey import recognise, recognise_bytes
from somatui.wire.text import TextError, b58encode, encode_secret

SEED = bytes(range(32))
HEX = SEED.hex()
BECH32 = "somaprivkey1qqqqzqsrqszsvpcgpy9qkrqdpc83qygjzv2p29shrqv35xcur50p7y6psq9"
WORDS = "abandon " * 11 + "about"
ENTRY = base64.b64encode(b"\0" + SEED).decode()
seeds = st.binary(min_size=32, max_size=32).filter(any)

READ = [
    (HEX, secretkey.HEX, ""),
    (HEX.upper(), secretkey.HEX, ""),
    ("0x" + HEX, secretkey.HEX_0X, ""),
    ("0X" + HEX, secretkey.HEX_0X, ""),
    (HEX + "\n", secretkey.HEX, "newline"),
    (f"  {HEX} ", secretkey.HEX, "spaces stood around"),
    (f'"{HEX}"', secretkey.HEX, "quotes"),
    (f"“{HEX}”\r\n", secretkey.HEX, "quotes"),
    (f"'\"{HEX}\"'", secretkey.HEX, "quotes"),
    ("\ufeff" + HEX, secretkey.HEX, "invisible"),
    (HEX[:32] + " " + HEX[32:], secretkey.HEX, "spaces stood inside"),
    (HEX[:32] + "\n" + HEX[32:], secretkey.HEX, "spaces stood inside"),
    ("SOMA_SECRET_KEY=" + HEX, secretkey.HEX, "a name and ="),
    (f'export SOMA_SECRET_KEY = "{HEX}"', secretkey.HEX, "a name and ="),
    ("00" + HEX, secretkey.HEX_FLAG, ""),
    (BECH32, secretkey.BECH32, ""),
    (BECH32.upper(), secretkey.BECH32, ""),
    (ENTRY, secretkey.ENTRY, ""),
    (base64.b64encode(SEED).decode(), secretkey.BASE64, ""),
    (json.dumps([ENTRY]), secretkey.KEYSTORE, ""),
    (json.dumps([ENTRY], indent=2), secretkey.KEYSTORE, ""),
    (json.dumps(list(SEED)), "JSON list of bytes", ""),
]

MISTAKES = [
    ("", "Nothing was given"),
    ("   \n", "Nothing was given"),
    ('""', "Nothing was given"),
    (HEX[:-1], "these are 63: 1 missing"),
    (HEX + "0", "these are 65: 1 too many"),
    (HEX[:-1] + "O", "in place 64 stands something else"),
    ("0x" + HEX[:-2] + "gz", "in places 63, 64"),
    (HEX * 2, "128 hex digits"),
    ("0x" + HEX[:40], "an address of another network"),
    ("01" + HEX, "another scheme (BLS12-381"),
    ("00" * 32, "A key of zeros"),
    ('"' + HEX, "A quote stands on one side"),
    (b58encode(SEED), "That is Base58"),
    (b58encode(bytes([255] * 32)), "That is Base58"),
    ("5K" * 44, "Base58 of 64 bytes"),
    (BECH32[:-1] + "p", "its checksum does not match"),
    (BECH32[:-4], "4 too few"),
    (BECH32 + "qq", "2 too many"),
    ("S" + BECH32[1:], "all small or all capital"),
    ("suiprivkey1" + BECH32[12:], "another network"),
    ("abandon " * 10 + "about", "these are 11"),
    ("abandon " * 12 + "about", "these are 13"),
    ("abandon " * 11 + "a2out", "letters only"),
    ("áb " * 12, "only English"),
    ("abandon", "One word is no secret"),
    ("two pieces7", "2 pieces"),
    ('{"key": 1}', "is a list of base64"),
    ('["' + ENTRY, "is broken"),
    ('["AAAA"]', "not base64 of 33 bytes"),
    (json.dumps([base64.b64encode(b"\1" + SEED).decode()]), "no Ed25519 key"),
    (json.dumps([1] * 64), "64 bytes"),
    (base64.b64encode(b"\2" + SEED).decode(), "another scheme (MultiSig"),
    ("hf_" + "a" * 34, "Hugging Face token"),
    ("AKIA" + "A" * 16, "access key of an object store"),
    ("https://fullnode.testnet.soma.org", "a web address"),
    ("-----BEGIN " + "PRIVATE KEY-----", "PEM"),
    ("xprv" + "a" * 107, "extended key"),
    ("your_secret_key_here", "a placeholder"),
    ("<paste-here>", "a placeholder"),
    ("correct-horse-battery", "no secret key in a form that is known"),
]


@pytest.mark.parametrize(("text", "form", "note"), READ, ids=range(len(READ)))
def test_each_form_is_read_and_named(text: str, form: str, note: str) -> None:
    found = recognise(text)
    assert found.seed == SEED
    assert found.form == form
    assert note in " ".join(found.notes) and bool(note) == bool(found.notes)


@pytest.mark.parametrize(("text", "says"), MISTAKES, ids=range(len(MISTAKES)))
def test_each_mistake_has_its_own_sentence_that_repeats_nothing(text: str, says: str) -> None:
    with pytest.raises(TextError) as wrong:
        recognise(text)
    sentence = str(wrong.value)
    assert says in sentence and sentence.endswith((".", "?")) and "\n" not in sentence
    assert len(text.strip()) < 8 or text.strip() not in sentence


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (WORDS, WORDS),
        (f"\n {WORDS}\n", WORDS),
        (WORDS.upper(), WORDS),
        (WORDS.replace(" ", ", "), WORDS),
        (WORDS.replace(" ", "\n"), WORDS),
        ("".join(f"{n}. {w}\n" for n, w in enumerate(WORDS.split(), 1)), WORDS),
        ("".join(f"{n}) {w} " for n, w in enumerate(WORDS.split(), 1)), WORDS),
    ],
)
def test_words_are_read_however_they_were_written_down(text: str, words: str) -> None:
    found = recognise(text)
    assert (found.words, found.seed, found.form) == (words, b"", "mnemonic of 12 words")


@pytest.mark.parametrize("text", [t for t, _, _ in READ] + [WORDS])
def test_nothing_that_was_found_shows_itself(text: str) -> None:
    found = recognise(text)
    assert not re.search(r"abandon|0001020|AAAB|\\x01", repr(found) + str(found))


@pytest.mark.parametrize(
    ("data", "form"),
    [
        (bytes(range(128, 160)), secretkey.RAW),
        (b"\0" + bytes(range(128, 160)), secretkey.RAW_FLAG),
        (bytes(range(128, 160)).hex().encode(), secretkey.HEX),
        (bytes(range(128, 160)).hex().encode("utf-16"), secretkey.HEX),
    ],
)
def test_files_are_read_as_bytes_or_as_text(data: bytes, form: str) -> None:
    found = recognise_bytes(data)
    assert (found.seed, found.form) == (bytes(range(128, 160)), form)


@pytest.mark.parametrize(("data", "says"), [(b"\xff" * 31, "31 bytes"), (b"\x01" + b"\xff" * 32, "another scheme")])
def test_bytes_that_are_no_key_say_so(data: bytes, says: str) -> None:
    with pytest.raises(TextError, match=says):
        recognise_bytes(data)


@given(seeds)
def test_every_key_comes_back_from_every_form_and_has_the_sdks_address(seed: bytes) -> None:
    keypair = Keypair.from_secret_key(seed)
    assert encode_secret(seed) == keypair.to_encoded()
    for text in (
        seed.hex(),
        "0x" + seed.hex(),
        keypair.to_secret_key(),
        keypair.to_encoded(),
        base64.b64encode(b"\0" + seed).decode(),
        json.dumps([base64.b64encode(b"\0" + seed).decode()]),
    ):
        found = recognise(text)
        assert found.seed == seed
        assert mnemonics.address_of_key(found.seed) == keypair.address()


@given(seeds, st.integers(0, 69), st.sampled_from("qpzry9x8gf2tvdw0s3jn54khce6mua7l"))
def test_a_typing_error_in_a_bech32_key_is_never_taken(seed: bytes, at: int, digit: str) -> None:
    text = encode_secret(seed)
    spoilt = text[:at] + digit + text[at + 1 :]
    if spoilt != text:
        with pytest.raises(TextError):
            recognise(spoilt)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_in_a_sentence(text: str) -> None:
    with contextlib.suppress(TextError):
        assert recognise(text).form


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_refused_in_a_sentence(data: bytes) -> None:
    with contextlib.suppress(TextError):
        assert recognise_bytes(data).form


@pytest.mark.parametrize("count", [12, 24])
def test_new_words_are_a_mnemonic_of_the_sdk(count: int) -> None:
    words = mnemonics.make(count)
    found = recognise(words)
    assert (len(words.split()), found.words) == (count, words)
    assert mnemonics.address_of_key(mnemonics.key_of(found)) == Keypair.from_mnemonic(words).address()


def test_the_known_mnemonic_has_the_known_key() -> None:
    known = "8869cb07178bf67e08d7c4abdf45487dbf379c9a452fcec2836854bf4a3d29b0"  # pragma: allowlist secret
    assert mnemonics.seed_of(WORDS).hex() == known


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("abandon " * 11 + "abuot", "Word 12 is not in the list"),
        ("abbandon " * 2 + "abandon " * 10, "Words 1, 2 are not in the list"),
        ("abandon " * 12, "do not belong together"),
    ],
)
def test_wrong_words_are_told_by_their_places(words: str, says: str) -> None:
    with pytest.raises(TextError, match=says) as wrong:
        mnemonics.seed_of(words.strip())
    assert "ab" not in str(wrong.value).replace("about", "")


def test_a_new_mnemonic_has_12_or_24_words() -> None:
    with pytest.raises(TextError, match="12 or 24"):
        mnemonics.make(13)
