from pathlib import Path

import pytest

from include.settings import REPOSITORY, load_settings

NAMES = ("HOME", "PROJECTS", "STORE", "LANDING", "MLFLOW_URI", "SERVING_URI", "SERVING_TOKEN", "LEDGER_URI")


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch):
    for name in NAMES:
        monkeypatch.delenv(f"WINDHOVER_{name}", raising=False)


def test_everything_lies_below_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("WINDHOVER_HOME", str(tmp_path))
    settings = load_settings()
    assert settings.store_uri == str(tmp_path / "store")
    assert settings.landing_uri == str(tmp_path / "landing")
    assert settings.open_store().root == str(tmp_path / "store")


def test_the_projects_that_ship_are_found():
    assert (load_settings().projects / "digits.yaml").is_file()
    assert load_settings().home == REPOSITORY / ".windhover"


def test_each_location_can_be_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    for name in NAMES:
        monkeypatch.setenv(f"WINDHOVER_{name}", str(tmp_path / name))
    settings = load_settings()
    assert settings.store_uri == str(tmp_path / "STORE")
    assert settings.landing_uri == str(tmp_path / "LANDING")
    assert settings.ledger_uri == str(tmp_path / "LEDGER_URI")


def test_deliveries_may_land_in_a_bucket(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WINDHOVER_LANDING", "s3://bucket/landing")
    settings = load_settings()
    assert settings.landing_uri == "s3://bucket/landing"


def test_the_environment_is_read_at_each_call(monkeypatch: pytest.MonkeyPatch):
    before = load_settings().mlflow_uri
    monkeypatch.setenv("WINDHOVER_MLFLOW_URI", "http://elsewhere:1")
    assert before != load_settings().mlflow_uri == "http://elsewhere:1"


def test_addresses_for_people_are_those_of_the_parts_unless_set(monkeypatch: pytest.MonkeyPatch):
    for name in ("MLFLOW", "SERVING", "AIRFLOW"):
        monkeypatch.delenv(f"WINDHOVER_{name}_PUBLIC", raising=False)
    settings = load_settings()
    assert (settings.mlflow_page, settings.serving_page) == (settings.mlflow_uri, settings.serving_uri)
    # A notification is read elsewhere.
    assert settings.airflow_page == ""
    for name in ("MLFLOW", "SERVING", "AIRFLOW"):
        monkeypatch.setenv(f"WINDHOVER_{name}_PUBLIC", f"https://{name.lower()}.example/")
    settings = load_settings()
    pages = [settings.mlflow_page, settings.serving_page, settings.airflow_page]
    assert pages == ["https://mlflow.example", "https://serving.example", "https://airflow.example"]


def test_a_token_is_never_shown(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WINDHOVER_SERVING_TOKEN", "s3cret")
    settings = load_settings()
    assert settings.serving_token == "s3cret"  # noqa: S105
    assert "s3cret" not in repr(settings)


def test_in_a_container_a_mounted_file_stands_for_a_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "windhover_ledger_uri").write_text("postgresql://ledger/windhover")
    (tmp_path / "windhover_serving_token").write_text("s3cret")
    monkeypatch.setattr("include.settings.MOUNTED_SECRETS", tmp_path)
    assert load_settings().ledger_uri == "postgresql://ledger/windhover"
    monkeypatch.setenv("WINDHOVER_SERVING_TOKEN", "another")
    assert load_settings().serving_token == "another"  # noqa: S105
