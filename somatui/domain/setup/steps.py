"""The setup's steps in words: what each is for, where to get it, what skipping costs, and what is asked.

Newcomers' words (newcomer.md); who asks and what is done with the answers is not said here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from somatui.domain.ids import short
from somatui.domain.secret_names import HUGGING_FACE, WEBHOOK, node, store

Choices = tuple[tuple[str, str], ...]

PURPOSES: Choices = (
    ("submit", "submit data and earn half of a target's reward"),
    ("train", "train a model and earn when it wins"),
    ("both", "submit data and train models"),
    ("look", "only look: nothing is signed"),
)
NETWORKS: Choices = (
    ("practice", "a network of your own on this machine, play money"),
    ("localnet", "a real node that you run on this machine"),
    ("testnet", "the public test network, coins from its faucet"),
    ("custom", "any other node, by its address"),
)
OWN_WALLETS: Choices = (
    ("new", "make one here"),
    ("import", "bring one: secret key or mnemonic"),
)
WATCHED: Choices = (("watch", "only watch an address, sign nothing"),)
ONLY_WATCHED: Choices = (("watch", "only watch an address: a key wants a vault that is open (esc goes back to it)"),)
DATASET = "bigcode/the-stack-v2"


@dataclass(frozen=True, slots=True)
class Field:
    """One thing that is asked. `only` names another field and those choices of it with which this one is asked."""

    name: str
    label: str
    hint: str = ""
    value: str = ""
    secret: bool = False
    choices: Choices = ()
    only: tuple[str, tuple[str, ...]] | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One screen: `about` says in two sentences what it is for and where to get it, `skip` what skipping costs."""

    name: str
    title: str
    about: str
    skip: str = ""
    checks: bool = True


STEPS: tuple[Step, ...] = (
    Step(
        "purpose",
        "What do you want to do?",
        "Choose what this machine is for and the network it works on. Each network is a profile of its own, with its "
        "own wallet, storage and settings; this one becomes the profile that is used when none is named.",
        checks=False,
    ),
    Step(
        "network",
        "Network",
        "Everything is read from this node and sent to it, so it is asked first who it is. The name of its chain is "
        "written down: where a node tells another one, nothing is signed.",
        "without a node nothing can be read or sent until one answers",
    ),
    Step(
        "vault",
        "Vault",
        "Keys and tokens are kept encrypted, and this passphrase opens them. It is kept nowhere: whoever loses it "
        "needs the wallet's words and new tokens.",
        "without a vault no key and no token is kept: this machine can only look, and storage and Hugging Face "
        "are left out too",
    ),
    Step(
        "wallet",
        "Wallet",
        "Its key signs what you submit, commit, reveal and claim. It is made here, or brought from soma wallet export "
        "(64 hex digits or somaprivkey1…), as twelve or twenty-four words, or by the path of a keystore.",
        "without a wallet everything can be read and nothing signed",
    ),
    Step(
        "storage",
        "Storage",
        "Validators download what you submit, so it must be public for three days. Cloudflare R2 has no egress fee: "
        "dash → R2 → create a bucket, then “Manage API tokens” with Object Read & Write for that bucket.",
        "without storage nothing can be submitted or published",
    ),
    Step(
        "huggingface",
        "Hugging Face",
        "A token reads gated sets such as The Stack v2. Make one of type “read” at huggingface.co → settings → tokens, "
        "and accept the terms on the set's own page with the same account.",
        "without a token only your own data and ungated sets can be read",
    ),
    Step(
        "extras",
        "GPU and alerts",
        "Training and scoring want a GPU; the practice network and easy thresholds do without. A webhook, if you have "
        "one, gets a test message and is kept in the vault; the agent sends it what it warns of.",
        "without a webhook alerts are seen in the console alone",
    ),
    Step(
        "summary",
        "Ready",
        "Coins pay fees, bonds and stakes; the faucet of a test network gives them for nothing.",
    ),
)


@dataclass(frozen=True, slots=True)
class KnownWallet:
    """A wallet that the profile has already."""

    address: str
    label: str = ""
    watch_only: bool = False
    words: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """What the profile has already, so that it is not asked again; nothing secret."""

    vault: bool = False
    locked: bool = True
    backend: str = ""
    why: str = ""
    wallets: tuple[KnownWallet, ...] = ()
    kept: frozenset[str] = frozenset()
    """Names in the vault, where it is open."""
    keys: tuple[str, ...] = ()
    """Addresses of the keys in a keystore that was given and holds several."""

    def keeps(self, name: str) -> bool:
        """Whether the vault holds `name`."""
        return name in self.kept


@dataclass(frozen=True, slots=True)
class Answers:
    """What was answered; nothing of it is secret."""

    purpose: str = "submit"
    network: str = "testnet"
    profile: str = ""
    rpc_url: str = ""
    faucet_url: str = ""
    auth: str = ""
    """Non-empty where the node wants one: `asked`; the secret itself is never here."""
    wallet: str = ""
    address: str = ""
    label: str = ""
    endpoint: str = ""
    bucket: str = ""
    region: str = ""
    public_url: str = ""
    dataset: str = DATASET
    machine: str = ""
    """What was found of GPU and alerts, for the summary."""

    @property
    def name(self) -> str:
        """The profile's name: the one that was given, else the network's."""
        return self.profile or self.network


def taken(answers: Answers) -> tuple[Step, ...]:
    """The steps that these answers need: practice makes its own vault, wallet and store; who looks needs no keys."""
    if answers.network == "practice":
        names = {"purpose", "network", "summary"}
    elif answers.purpose == "look":
        names = {"purpose", "network", "wallet", "summary"} | ({"vault"} if answers.auth else set())
    else:
        names = {step.name for step in STEPS}
    return tuple(step for step in STEPS if step.name in names)


def fields(step: str, answers: Answers, known: Known) -> tuple[Field, ...]:
    """What a step asks, with what is known already in its place."""
    asked = {
        "purpose": _purpose, "network": _network, "vault": _vault, "wallet": _wallet,
        "storage": _storage, "huggingface": _huggingface, "extras": _extras,
    }  # fmt: skip
    return asked[step](answers, known) if step in asked else ()


def shown(wanted: tuple[Field, ...], entered: dict[str, str]) -> tuple[Field, ...]:
    """Those fields that are asked with these choices made."""
    return tuple(f for f in wanted if f.only is None or entered.get(f.only[0]) in f.only[1])


def _purpose(answers: Answers, known: Known) -> tuple[Field, ...]:
    return (
        Field("purpose", "purpose", value=answers.purpose, choices=PURPOSES),
        Field("network", "network", value=answers.network, choices=NETWORKS),
        Field("rpc_url", "node", "https://…", answers.rpc_url, only=("network", ("custom",))),
        Field("faucet_url", "faucet", "may stay empty", answers.faucet_url, only=("network", ("custom",))),
        Field("profile", "profile", "its name; empty: the network's", answers.profile),
    )


def _network(answers: Answers, known: Known) -> tuple[Field, ...]:
    if answers.network != "custom":
        return ()
    kept = known.keeps(node(answers.name))
    hint = "in the vault already" if kept else "only where it asks: user:password, or Header: value"
    return (Field("auth", "access", hint, secret=True),)


def _vault(answers: Answers, known: Known) -> tuple[Field, ...]:
    if known.vault and not known.locked:
        return ()
    first = Field("passphrase", "passphrase", "a sentence that only you know", secret=True)
    if known.vault:
        return (replace(first, hint="of the vault that is here already"),)
    return (first, Field("again", "once more", "the same again", secret=True))


def _wallet(answers: Answers, known: Known) -> tuple[Field, ...]:
    have = tuple((w.address, f"use {w.label or short(w.address)}, which is here already") for w in known.wallets)
    own = OWN_WALLETS if known.vault and not known.locked else ()
    choices = (*have, *own, *(WATCHED if own else ONLY_WATCHED))
    wanted = answers.address if answers.address in dict(have) else answers.wallet
    keys = tuple((a, f"0x{short(a)}") for a in known.keys)
    which = (Field("which", "which", value=keys[0][0], choices=keys, only=("wallet", ("import",))),) if keys else ()
    return (
        Field("wallet", "wallet", value=wanted if wanted in dict(choices) else choices[0][0], choices=choices),
        Field(
            "key",
            "key",
            "key, words, or the path of a keystore; nothing of it is shown",
            secret=True,
            only=("wallet", ("import",)),
        ),
        *which,
        Field("address", "address", "0x and 64 hex digits", answers.address, only=("wallet", ("watch",))),
        Field("label", "name", "main", answers.label, only=("wallet", ("new", "import", "watch"))),
    )


def _storage(answers: Answers, known: Known) -> tuple[Field, ...]:
    have = known.keeps(store(answers.name, "secret"))
    access, secret = (
        ("in the vault already",) * 2 if have else ("of the API token", "shown once, when the token is made")
    )
    return (
        Field("endpoint", "endpoint", "https://ACCOUNT.r2.cloudflarestorage.com", answers.endpoint),
        Field("bucket", "bucket", "soma-data", answers.bucket),
        Field("access", "access key", access, secret=True),
        Field("secret", "secret", secret, secret=True),
        Field("public_url", "public URL", "https://pub-….r2.dev", answers.public_url),
    )


def _huggingface(answers: Answers, known: Known) -> tuple[Field, ...]:
    return (
        Field("token", "token", "in the vault already" if known.keeps(HUGGING_FACE) else "hf_…", secret=True),
        Field("dataset", "data set", DATASET, answers.dataset),
    )


def _extras(answers: Answers, known: Known) -> tuple[Field, ...]:
    if not known.vault or known.locked:
        return ()
    kept = known.keeps(WEBHOOK)
    return (Field("webhook", "webhook", "in the vault already" if kept else "https://… or empty", secret=True),)
