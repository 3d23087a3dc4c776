import pytest

from deploy.airflow_settings import SETTINGS_FILE, read_airflow_settings, settings_environment
from deploy.credentials import load_credentials
from deploy.errors import StackError


def test_our_own_file_names_the_ledger_and_the_training_pool(home):
    settings = read_airflow_settings(SETTINGS_FILE, settings_environment(home))
    (ledger,) = settings["connections"]
    assert ledger["connection_id"] == "windhover_ledger"
    assert ledger["port"] == 5480
    assert ledger["password"] == load_credentials(home).postgres_password
    assert [(pool["name"], pool["slots"]) for pool in settings["pools"]] == [("training", 1)]


def test_extra_may_be_a_mapping_and_variables_are_texts(tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_text(
        "airflow:\n"
        "  connections: [{conn_id: s3, conn_type: aws, conn_extra: {region_name: eu}}]\n"
        "  variables: [{variable_name: days, variable_value: 7}]\n"
    )
    settings = read_airflow_settings(path, {})
    assert settings["connections"][0]["extra"] == '{"region_name": "eu"}'
    assert settings["variables"] == [{"key": "days", "value": "7"}]
    assert settings["pools"] == []


def test_the_callers_environment_is_not_substituted(tmp_path, monkeypatch, home):
    monkeypatch.setenv("AWS_SECRET", "leaked")
    path = tmp_path / "settings.yaml"
    path.write_text("airflow: {variables: [{variable_name: a, variable_value: '${AWS_SECRET}'}]}")
    with pytest.raises(StackError, match="AWS_SECRET"):
        read_airflow_settings(path, settings_environment(home))


@pytest.mark.parametrize("text", ["", "airflow", "airflow: [", "airflow: {pools: [{pool_name: a}]}", "pools: []"])
def test_a_broken_file_is_named(tmp_path, text):
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    with pytest.raises(StackError, match=r"settings\.yaml"):
        read_airflow_settings(path, {})
