from deploy.credentials import load_credentials
from deploy.parts import PART_NAMES, STACK_MARKER, describe_parts, shared_environment


def test_the_names_are_the_parts(home):
    assert tuple(describe_parts(home, load_credentials(home))) == PART_NAMES


def test_no_command_line_carries_a_secret(home):
    credentials = load_credentials(home)
    words = " ".join(word for part in describe_parts(home, credentials).values() for word in part.command)
    assert [secret for secret in vars(credentials).values() if secret in words] == []


def test_only_airflow_knows_airflows_keys_and_only_serving_the_ledger(home):
    credentials = load_credentials(home)
    parts = describe_parts(home, credentials)
    knows_keys = {part.name for part in parts.values() if credentials.jwt_secret in part.environment.values()}
    assert knows_keys == {"api-server", "scheduler", "dag-processor", "triggerer"}
    assert {part.name for part in parts.values() if "WINDHOVER_LEDGER_URI" in part.environment} == {"serving"}


def test_the_callers_own_settings_do_not_leak_in(home, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    monkeypatch.setenv("PGPASSWORD", "theirs")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://elsewhere")
    monkeypatch.setenv("WINDHOVER_AIRFLOW_PORT", "1")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy")
    environment = shared_environment(home)
    assert environment.keys().isdisjoint(
        {"AIRFLOW__CORE__EXECUTOR", "PGPASSWORD", "MLFLOW_TRACKING_URI", "WINDHOVER_AIRFLOW_PORT"}
    )
    assert environment["HTTPS_PROXY"] == "http://proxy"
    assert environment[STACK_MARKER] == str(home.root)
    assert environment["HOME"] == str(home.cache)
