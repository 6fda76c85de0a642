"""Text or bytes that somebody takes for a wallet's secret: which form it is, and which usual mistake where it is none.

Pure; it knows no wallet. Words are only counted here: their list and what is derived from them is the agent's
(protocol.md 3.2). No message repeats what was given.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass, field, replace

from somatui.wire.text import SECRET_PREFIX, TextError, b58decode32, decode_secret

WORD_COUNTS = (12, 15, 18, 21, 24)
HEX, HEX_0X, HEX_FLAG = "hex", "hex with 0x", "hex with its scheme's flag"
BECH32, RAW, RAW_FLAG = "Bech32 (somaprivkey1…)", "32 raw bytes", "33 raw bytes, flag and key"
ENTRY, BASE64, KEYSTORE = "keystore entry (base64 of flag and key)", "base64 of 32 bytes", "keystore of the soma CLI"
FORMS = "64 hex digits, somaprivkey1…, 12 or 24 words, or a keystore of the soma CLI"

_QUOTES = {'"': '"', "'": "'", "`": "`", "“": "”", "„": "“", "‘": "’", "«": "»"}
_INVISIBLE = re.compile("[\ufeff\u200b-\u200f\u2060\u00ad\x00]")
_ASSIGNED = re.compile(r"(?:export\s+|set\s+)?[A-Za-z][A-Za-z0-9]*_[A-Za-z0-9_]*\s*=\s*")
_NUMBERING = re.compile(r"(?:^|\s)\(?\d{1,2}[.):]\s*")
PLACEHOLDER = re.compile(
    r"(?i:^your\b|^your_|change.?me|placeholder|^x+$|^\.\.\.|…|^<.*>$|^todo$|_here$|^example)|EXAMPLE(KEY)?$"
)
_OTHERS = (
    (re.compile(r"https?://"), "That is a web address, not a secret key"),
    (re.compile(r"hf_\w+$"), "That is a Hugging Face token: it belongs into HF_TOKEN"),
    (re.compile(r"(AKIA|ASIA)[A-Z0-9]{12,}$"), "That is the access key of an object store, not of a wallet"),
    (re.compile(r"(xprv|xpub|zprv)\w{50,}"), "That is an extended key of another network"),
)
_SCHEMES = {1: "BLS12-381, which validators use", 2: "MultiSig"}


@dataclass(frozen=True, slots=True)
class Found:
    """A secret and the form it had. Either `seed` (32 bytes) or `words`; `others` are further keys of a keystore."""

    form: str
    seed: bytes = field(default=b"", repr=False)
    words: str = field(default="", repr=False)
    notes: tuple[str, ...] = ()
    others: tuple[bytes, ...] = field(default=(), repr=False)

    @property
    def seeds(self) -> tuple[bytes, ...]:
        """Every key that was there."""
        return (self.seed, *self.others) if self.seed else ()


def recognise_bytes(data: bytes) -> Found:
    """The secret in a file's content. Raises TextError with what is wrong."""
    printable = all(32 <= b < 127 or b in b"\t\r\n" for b in data)
    if len(data) == 32 and not printable:
        return Found(RAW, _sound(data))
    if len(data) == 33 and not printable:
        return Found(RAW_FLAG, _flagged(data))
    for mark, encoding in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"", "utf-8")):
        if data.startswith(mark):
            try:
                return recognise(data.decode(encoding))
            except UnicodeDecodeError:
                break
    raise TextError(f"The file has {len(data)} bytes that are no text; a raw secret key has exactly 32.")


def recognise(text: str) -> Found:
    """The secret in what was typed or pasted. Raises TextError: one sentence on what it is instead, with the cure."""
    text, notes = _cleaned(text)
    if not text:
        raise TextError(f"Nothing was given: paste {FORMS}.")
    assigned = _ASSIGNED.match(text)
    if assigned and assigned.end() < len(text) and "\n" not in text:
        inner = recognise(text[assigned.end() :])
        return replace(inner, notes=(*notes, "a name and = stood in front of it", *inner.notes))
    if text[0] in "[{":
        return _keystore(text, notes)
    found = _spaced(text, notes)
    if found is not None:
        return found
    form, seed = _single(text)
    return Found(form, _sound(seed), notes=notes)


def _cleaned(text: str) -> tuple[str, tuple[str, ...]]:
    notes: list[str] = []
    seen = _INVISIBLE.sub("", text).replace("\u00a0", " ")
    if seen != text:
        notes.append("invisible characters were in it")
    bare = seen.strip()
    if "\n" in seen[len(seen.rstrip()) :] and bare:
        notes.append("a newline stood at its end")
    elif bare != seen and bare:
        notes.append("spaces stood around it")
    while len(bare) > 1 and _QUOTES.get(bare[0]) == bare[-1]:
        bare = bare[1:-1].strip()
        if "quotes stood around it" not in notes:
            notes.append("quotes stood around it")
    if bare and bare[0] in "\"'“”‘’`":
        raise TextError("A quote stands on one side of it only: paste it again, without quotes.")
    return bare, tuple(notes)


def _spaced(text: str, notes: tuple[str, ...]) -> Found | None:
    """Words, or a key that was broken by spaces; None for one piece."""
    if text.startswith("-----BEGIN"):
        raise TextError(f"That is a PEM file, which SOMA does not use: paste {FORMS}.")
    pieces = [p for p in re.split(r"[\s,;]+", _NUMBERING.sub(" ", text)) if p]
    if len(pieces) == 1:
        return None
    joined = "".join(pieces)
    if all(p.isalpha() for p in pieces):
        return _words(text, pieces, notes)
    if _is_hex(joined.removeprefix("0x")) or joined.lower().startswith(SECRET_PREFIX):
        form, seed = _single(joined)
        return Found(form, _sound(seed), notes=(*notes, "spaces stood inside it"))
    if sum(p.isalpha() for p in pieces) >= 10:
        raise TextError("Something among the words is no word: type the mnemonic again, letters only.")
    raise TextError(f"There are {len(pieces)} pieces where one secret is wanted: paste {FORMS}.")


def _words(text: str, pieces: list[str], notes: tuple[str, ...]) -> Found:
    words = " ".join(p.lower() for p in pieces)
    if not words.isascii():
        raise TextError("Some words have letters that English does not: only English mnemonics are used here.")
    if len(pieces) not in WORD_COUNTS:
        raise TextError(
            f"A mnemonic has 12 or 24 words, and these are {len(pieces)}: look for one left out or doubled."
        )
    if words != " ".join(pieces):
        notes += ("capitals were made small",)
    if _NUMBERING.search(text):
        notes += ("numbers stood before the words",)
    return Found(f"mnemonic of {len(pieces)} words", words=words, notes=notes)


def _keystore(text: str, notes: tuple[str, ...]) -> Found:
    """The soma CLI's file: a JSON list of base64, flag and key each."""
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError):
        raise TextError(
            "That begins like a keystore of the soma CLI and is broken JSON: take the whole file."
        ) from None
    if not isinstance(entries, list):
        raise TextError("That is a JSON object; a keystore of the soma CLI is a list of base64 texts.")
    if entries and all(type(e) is int and 0 <= e < 256 for e in entries):
        return Found("JSON list of bytes", _sound(_sized(bytes(entries))), notes=notes)
    seeds: list[bytes] = []
    for entry in entries:
        data = _base64(entry) if isinstance(entry, str) else None
        if data is None or len(data) != 33:
            raise TextError(
                "An entry of the keystore is not base64 of 33 bytes: take the whole file as the CLI wrote it."
            )
        if data[0] == 0:
            seeds.append(_sound(data[1:]))
    if not seeds:
        raise TextError("The keystore holds no Ed25519 key: make or import one with the soma CLI first.")
    kept = f", {len(seeds)} keys" if len(seeds) > 1 else ""
    return Found(KEYSTORE + kept, seeds[0], notes=notes, others=tuple(seeds[1:]))


def _single(text: str) -> tuple[str, bytes]:
    """One piece without spaces."""
    lower = text.lower()
    if lower.startswith(SECRET_PREFIX):
        return BECH32, _bech32(text)
    digits = lower.removeprefix("0x")
    if _is_hex(digits):
        return _hex(digits, lower.startswith("0x"))
    for pattern, sentence in _OTHERS:
        if pattern.match(text):
            raise TextError(f"{sentence}; a secret key is {FORMS}.")
    if re.match(r"[a-z]{2,12}privkey1", lower):
        raise TextError("That is a secret key of another network: SOMA's begin with somaprivkey1.")
    data = _base64(text)
    if data is not None and len(data) == 33 and data[0] <= 2:
        return ENTRY, _flagged(data)
    if data is not None and len(data) == 32:
        return BASE64, data
    _named(text, digits)
    raise TextError(f"That is no secret key in a form that is known: paste {FORMS}.")


def _named(text: str, digits: str) -> None:
    """Raise what a piece is that is no key, where it can be told."""
    if PLACEHOLDER.search(text):
        raise TextError("That is a placeholder: put the real key in its place.")
    if _is_base58_of_32(text):
        raise TextError(
            "That is Base58, as digests and weights' keys are written; a wallet's key is 64 hex digits or "
            "somaprivkey1…: see soma wallet export."
        )
    if re.fullmatch(r"[1-9A-HJ-NP-Za-km-z]{85,88}", text):
        raise TextError("That is Base58 of 64 bytes, a key of another network: SOMA's are 64 hex digits.")
    wrong = [n for n, c in enumerate(digits, 1) if c not in "0123456789abcdef"]
    if 60 <= len(digits) <= 68 and len(wrong) <= 4:
        at = f"{'places' if len(wrong) > 1 else 'place'} {', '.join(map(str, wrong))}"
        raise TextError(f"Hex digits are 0–9 and a–f, and in {at} stands something else: copy the key again.")
    if text.isalpha():
        raise TextError(f"One word is no secret: paste {FORMS}.")


def _bech32(text: str) -> bytes:
    if text not in (text.lower(), text.upper()):
        raise TextError("A key in Bech32 is all small or all capital letters: copy it again.")
    whole = len(SECRET_PREFIX) + 1 + 59
    if len(text) != whole:
        more = f"{abs(len(text) - whole)} too {'many' if len(text) > whole else 'few'}"
        raise TextError(f"A key in Bech32 has {whole} characters, and these are {more}: copy the whole of it.")
    try:
        return decode_secret(text)
    except TextError as wrong:
        sentence = str(wrong)
        raise TextError(f"{sentence[:1].upper()}{sentence[1:]}: copy it again.") from None


def _hex(digits: str, with_0x: bool) -> tuple[str, bytes]:
    size = len(digits)
    if size == 64:
        return HEX_0X if with_0x else HEX, bytes.fromhex(digits)
    if size == 66:
        return HEX_FLAG, _flagged(bytes.fromhex(digits))
    if size == 128:
        raise TextError("These are 128 hex digits, a secret key and its public half: give the first 64 alone.")
    if size == 40:
        raise TextError("These are 40 hex digits, an address of another network: give the 64 of a secret key.")
    short = size < 64
    raise TextError(
        f"A secret key has 64 hex digits, and these are {size}: {abs(64 - size)} {'missing' if short else 'too many'}, "
        "copy the whole of it."
    )


def _flagged(data: bytes) -> bytes:
    if data[0] != 0:
        scheme = _SCHEMES.get(data[0], f"number {data[0]}")
        raise TextError(f"That is a key of another scheme ({scheme}): a wallet's key is Ed25519.")
    return _sound(data[1:])


def _sized(data: bytes) -> bytes:
    if len(data) == 33:
        return _flagged(data)
    if len(data) == 64:
        raise TextError("These are 64 bytes, a secret key and its public half: give the first 32 alone.")
    if len(data) != 32:
        raise TextError(f"A secret key has 32 bytes, and these are {len(data)}: copy the whole of it.")
    return data


def _sound(seed: bytes) -> bytes:
    if not any(seed):
        raise TextError("A key of zeros is a placeholder that everybody knows: put the real key in its place.")
    return seed


def _is_hex(text: str) -> bool:
    return len(text) >= 8 and all(c in "0123456789abcdefABCDEF" for c in text)


def _is_base58_of_32(text: str) -> bool:
    try:
        b58decode32(text)
    except TextError:
        return False
    return True


def _base64(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
