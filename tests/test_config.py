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
    assert config.chosen_profile(paths) is None
    paths.config_file.write_text("profile = 'ops'\n")
    assert config.chosen_profile(paths) == "ops"
    monkeypatch.setenv("SOMATUI_PROFILE", "other")
    assert config.chosen_profile(paths) == "other"
