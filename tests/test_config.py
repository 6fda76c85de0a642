from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from somatui import config
from somatui.config import ConfigError, Settings
from somatui.paths import Paths

CARD = {
    "version": 1, "pid": 7, "chain": "practice-1", "rpc_url": "http://127.0.0.1:1", "faucet_url": "http://127.0.0.1:2",
    "scoring_url": "http://127.0.0.1:3", "admin_url": "http://127.0.0.1:4", "store_url": "http://127.0.0.1:5",
    "bucket": "practice", "access_key": "practice", "secret_key": "not-to-be-shown",  # pragma: allowlist secret
    "started_at_ms": 9,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("SOMATUI_"):
            monkeypatch.delenv(name)


def written(home: Path, text: str, profile: str = "practice") -> Paths:
    paths = Paths.for_profile(profile, home)
    paths.config_dir.mkdir(parents=True, exist_ok=True)
    paths.config_file.write_text(text)
    return paths


def with_card(home: Path, card: object) -> Paths:
    paths = Paths.for_profile("practice", home)
    paths.network_dir.mkdir(parents=True)
    (paths.network_dir / "network.json").write_text(json.dumps(card))
    return paths


def test_without_a_file_everything_is_default(tmp_path: Path) -> None:
    loaded = config.load(Paths.for_profile("practice", tmp_path))
    assert loaded.settings == Settings()
    assert set(loaded.origins.values()) == {"default"}
    assert loaded.profile.network == "practice"
    assert loaded.profile.rpc_url == ""


def test_the_known_networks_need_no_file(tmp_path: Path) -> None:
    assert config.load(Paths.for_profile("localnet", tmp_path)).profile.admin_url == "http://127.0.0.1:9125"
    assert config.load(Paths.for_profile("testnet", tmp_path)).profile.rpc_url.startswith("https://")


def test_environment_beats_profile_beats_common_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "[settings]\nthreads = 1\ntheme = 'light'\nauto_claim = false\n[profiles.practice.settings]\nthreads = 2\n"
    paths = written(tmp_path, text)
    monkeypatch.setenv("SOMATUI_AUTO_CLAIM", "yes")
    loaded = config.load(paths)
    assert (loaded.settings.threads, loaded.settings.theme, loaded.settings.auto_claim) == (2, "light", True)
    assert loaded.origins["threads"] == "profile"
    assert loaded.origins["theme"] == "config"
    assert loaded.origins["auto_claim"] == "environment"
    assert loaded.origins["auto_reveal"] == "default"


def test_every_setting_explains_itself_in_a_sentence() -> None:
    for name in Settings.names():
        assert Settings.help_of(name).endswith(".")
        assert config.checked(name, Settings.default_of(name)) == Settings.default_of(name)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("threads", -1), ("threads", 1.5), ("threads", True), ("threads", "many"), ("auto_reveal", 1),
        ("theme", "pink"), ("distance_margin", float("nan")), ("watch_interval_ms", 1), ("no_such", 1),
    ],
)  # fmt: skip
def test_a_value_that_makes_no_sense_is_refused(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=name):
        config.checked(name, value)


def test_text_is_read_as_the_settings_own_type() -> None:
    settings = Settings().with_value("threads", "3").with_value("auto_claim", "off").with_value("max_bond_ratio", "2")
    assert (settings.threads, settings.auto_claim, settings.max_bond_ratio) == (3, False, 2.0)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("threads = ", "not valid TOML"),
        ("settings = 1", r"must be a table, written \[settings\]"),
        ("[settings]\nthreats = 1", "no setting 'threats'"),
        ("[profiles.practice]\nnetwork = 'moon'", "must be one of practice, localnet, testnet, custom"),
        ("[profiles.practice]\nrcp_url = 'http://x'", "has no key 'rcp_url'"),
        ("[profiles.practice]\nnetwork = 'custom'", "needs rpc_url"),
        ("[profiles.practice]\nnetwork = 'custom'\nrpc_url = 'x:1'", "begins with https"),
        ("[profiles.practice]\nnetwork = 'localnet'\nstore = {bucket = 'b'}", "needs endpoint and bucket"),
        ("[profiles.practice]\nnetwork = 'localnet'\nrpc_url = 'http://u:p@x'", "has a password in it: take"),
        ("[profiles.practice]\nnetwork = 'localnet'\nstore = {secret = 'b'}", "store.secret"),
    ],
)
def test_a_wrong_file_is_one_sentence_that_names_it(text: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=sentence) as caught:
        config.load(written(tmp_path, text))
    assert "\n" not in str(caught.value) or "TOML" in sentence


def test_an_unknown_profile_is_told_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"add a table \[profiles.ops\]"):
        config.load(Paths.for_profile("ops", tmp_path))


def test_an_own_profile_has_its_node_and_store(tmp_path: Path) -> None:
    text = (
        "[profiles.ops]\nnetwork = 'testnet'\nrpc_url = 'https://node.example/'\n"
        "[profiles.ops.store]\nendpoint = 'https://s3.example'\nbucket = 'data'\npublic_url = 'https://pub.example'\n"
    )
    profile = config.load(written(tmp_path, text, "ops")).profile
    assert profile.rpc_url == "https://node.example"
    assert profile.store is not None and profile.store.public_url == "https://pub.example"


def test_practice_takes_its_addresses_from_the_networks_card(tmp_path: Path) -> None:
    profile = config.load(with_card(tmp_path, CARD)).profile
    assert (profile.rpc_url, profile.admin_url) == ("http://127.0.0.1:1", "http://127.0.0.1:4")
    assert profile.store is not None and profile.store.public_url == "http://127.0.0.1:5/practice"


def test_the_cards_secret_stays_out_of_its_picture(tmp_path: Path) -> None:
    card = config.practice_network(with_card(tmp_path, CARD))
    assert card is not None and card.secret_key == CARD["secret_key"]
    assert "not-to-be-shown" not in repr(card)


@pytest.mark.parametrize("card", [[], {}, {"version": 2}, {"version": 1, "pid": 3}])
def test_a_damaged_card_says_to_restart_the_network(card: object, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="restart the practice network"):
        config.load(with_card(tmp_path, card))


def test_saving_keeps_comments_and_other_settings(tmp_path: Path) -> None:
    paths = written(tmp_path, "# mine\n[settings]\ntheme = 'light'  # for the sun\n")
    config.save_setting(paths, "threads", "2")
    config.save_setting(paths, "threads", 3)
    text = paths.config_file.read_text()
    assert "# mine" in text and "# for the sun" in text
    assert paths.config_file.stat().st_mode & 0o777 == 0o600
    assert config.load(paths).settings == Settings(threads=3, theme="light")
    assert [p.name for p in paths.config_dir.iterdir()] == ["config.toml"]


def test_saving_a_wrong_value_leaves_the_file_alone(tmp_path: Path) -> None:
    paths = written(tmp_path, "# mine\n")
    with pytest.raises(ConfigError):
        config.save_setting(paths, "threads", "lots")
    assert paths.config_file.read_text() == "# mine\n"


def test_saving_where_nothing_can_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("a file in the way")
    with pytest.raises(ConfigError):
        config.save_setting(Paths.for_profile("practice", tmp_path), "threads", 1)


def test_the_profile_to_use_is_named_by_environment_or_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = written(tmp_path, "")
    assert config.chosen_profile(paths) == ("practice", "default")
    paths.config_file.write_text("profile = 'ops'\n")
    assert config.chosen_profile(paths) == ("ops", "config")
    monkeypatch.setenv("SOMATUI_PROFILE", "other")
    assert config.chosen_profile(paths) == ("other", "environment")


WALLET = "ab" * 32


def test_a_new_profile_is_written_and_read_back(tmp_path: Path) -> None:
    paths = written(tmp_path, "# mine\n\n[settings]\ntheme = 'light'  # for the sun\n", "ops")
    config.save_profile(
        paths, network="custom", rpc_url="https://node.example/", rpc_url_2="https://other.example", chain="6D1qbz",
        wallet="0x" + WALLET.upper(), vault="file",
    )  # fmt: skip
    config.save_store(paths, config.StoreConfig("https://s3.example", "data", public_mode="policy"))
    config.save_wallet(paths, WALLET, label="ops-1")
    config.save_wallet(paths, WALLET, watch_only=True)
    profile = config.load(paths).profile
    assert (profile.rpc_url, profile.rpc_url_2) == ("https://node.example", "https://other.example")
    assert (profile.chain, profile.wallet, profile.vault, profile.colour) == ("6D1qbz", WALLET, "file", "testnet")
    assert profile.wallets == {WALLET: config.WalletEntry("ops-1", True)}
    assert profile.store is not None and profile.store.public_mode == "policy"
    text = paths.config_file.read_text()
    assert "# mine" in text and "# for the sun" in text
    assert paths.config_file.stat().st_mode & 0o777 == 0o600


def test_a_key_is_taken_away_by_an_empty_value_and_a_wallet_by_name(tmp_path: Path) -> None:
    paths = Paths.for_profile("testnet", tmp_path)
    config.save_profile(paths, wallet=WALLET, rpc_url_2="https://other.example")
    config.save_wallet(paths, WALLET, label="x")
    config.save_profile(paths, rpc_url_2=None)
    assert config.load(paths).profile.rpc_url_2 == ""
    left = config.remove_wallet(paths, "0x" + WALLET)
    assert (left.wallet, left.wallets) == ("", {})


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"wallet": "0x12"}, "64 hex digits"),
        ({"rpc_url": "node.example"}, "begins with https"),
        ({"network": "moon"}, "must be one of practice"),
        ({"vault": "drawer"}, "must be one of auto"),
        ({"colour": "pink"}, "must be one of practice"),
        ({"chain": "two words"}, "the network's own identifier"),
        ({"rcp_url": "https://node.example"}, "no key 'rcp_url'"),
    ],
)
def test_what_could_not_be_read_back_is_not_written(changes: dict[str, str], sentence: str, tmp_path: Path) -> None:
    text = "[profiles.ops]\nnetwork = 'testnet'\n"
    paths = written(tmp_path, text, "ops")
    with pytest.raises(ConfigError, match=sentence):
        config.save_profile(paths, **changes)
    assert paths.config_file.read_text() == text


def test_a_profile_named_after_the_main_network_is_red_unless_it_says_otherwise(tmp_path: Path) -> None:
    text = (
        "[profiles.mainnet]\nnetwork = 'custom'\nrpc_url = 'https://a.example'\n"
        "[profiles.ops]\nnetwork = 'custom'\nrpc_url = 'https://fullnode.mainnet.example'\n"
        "[profiles.maintenance]\nnetwork = 'testnet'\ncolour = 'testnet'\n"
        "[profiles.practice]\nwallet = '" + WALLET + "'\n"
    )
    colours = {
        name: config.load(written(tmp_path, text, name)).profile.colour
        for name in ("mainnet", "ops", "maintenance", "practice", "localnet", "testnet")
    }
    assert colours == {
        "mainnet": "main", "ops": "main", "maintenance": "testnet",
        "practice": "practice", "localnet": "practice", "testnet": "testnet",
    }  # fmt: skip


def test_the_default_profile_is_one_that_exists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = Paths.for_profile("testnet", tmp_path)
    assert config.profile_names(paths) == ("practice", "localnet", "testnet")
    config.save_default(paths)
    assert config.chosen_profile(paths) == ("testnet", "config")
    with pytest.raises(ConfigError, match="No profile named 'ops'"):
        config.save_default(Paths.for_profile("ops", tmp_path))


def test_a_practice_profile_has_no_fixed_chain(tmp_path: Path) -> None:
    paths = with_card(tmp_path, CARD)
    config.save_profile(paths, chain="6D1qbz", wallet=WALLET)
    assert (config.load(paths).profile.chain, config.load(paths).profile.wallet) == ("", WALLET)


def test_two_who_write_at_once_lose_nothing(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    paths = Paths.for_profile("testnet", tmp_path)
    addresses = [f"{n:064x}" for n in range(12)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda a: config.save_wallet(paths, a, label=a[-2:]), addresses))
    assert set(config.load(paths).profile.wallets) == set(addresses)


def test_a_practice_vault_never_becomes_another_ones_nor_another_one_a_practice_vault(tmp_path: Path) -> None:
    practice = Paths.for_profile("practice", tmp_path).create()
    practice.vault.touch()
    practice.passphrase.touch()
    config.save_profile(practice, wallet="ab" * 32)
    with pytest.raises(ConfigError, match="passphrase lies in plain text beside it"):
        config.save_profile(practice, network="testnet")
    real = Paths.for_profile("ops", tmp_path).create()
    real.vault.touch()
    config.save_profile(real, network="testnet")
    with pytest.raises(ConfigError, match="was not made for practice"):
        config.save_profile(real, network="practice")
    assert config.load(real).profile.network == "testnet" and config.load(practice).profile.network == "practice"
