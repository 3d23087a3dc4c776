import dataclasses

import pytest

from deploy.credentials import load_credentials
from deploy.parts import STACK_MARKER, WATCHER, describe_parts, name_parts, name_replicas, shared_environment
from include.monitoring.channels import open_channels

AIRFLOW = {"api-server", "scheduler", "dag-processor", "triggerer"}


@pytest.mark.parametrize("replicas", [0, 1, 2, 5])
def test_the_names_are_the_parts(home, replicas):
    parts = describe_parts(dataclasses.replace(home, replicas=replicas), load_credentials(home))
    assert tuple(parts) == name_parts(replicas)
    assert sum(name.startswith("serving-") for name in parts) == replicas
    # Containers bring a front of their own, on the same port.
    assert ("front" in parts) is (replicas > 0)


def test_every_replica_has_a_name_and_a_socket_of_its_own(home):
    parts = describe_parts(home, load_credentials(home))
    for name in name_replicas(2):
        command = parts[name].command
        assert command[command.index("--name") + 1] == name
        assert command[command.index("--socket") + 1] == str(home.find_socket(name))
        assert not parts[name].needs_database


def test_no_command_line_carries_a_secret(home):
    credentials = load_credentials(home)
    words = " ".join(word for part in describe_parts(home, credentials).values() for word in part.command)
    assert [secret for secret in vars(credentials).values() if secret in words] == []


def test_every_part_knows_no_secret_but_those_it_needs(home):
    credentials = load_credentials(home)
    parts = describe_parts(home, credentials)
    knows_keys = {part.name for part in parts.values() if credentials.jwt_secret in part.environment.values()}
    knows_token = {part.name for part in parts.values() if credentials.serving_token in part.environment.values()}
    replicas = set(name_replicas(home.replicas))
    assert knows_keys == AIRFLOW
    assert knows_token == AIRFLOW | replicas
    assert {part.name for part in parts.values() if "WINDHOVER_LEDGER_URI" in part.environment} == replicas | {WATCHER}


def test_notifications_go_to_a_file_and_to_the_owners_channels(home):
    (home.secrets / "notify_urls").write_text("ops=mailto://user:secret@example.invalid\n")
    watcher = describe_parts(home, load_credentials(home))[WATCHER]
    file, mail = open_channels(watcher.environment["WINDHOVER_NOTIFY_URLS"])
    assert file.send("title", "body", "minor")
    assert (home.root / "notifications.ndjson").exists()
    assert mail.tags == {"ops"}
    assert "secret" not in " ".join(watcher.command)


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
