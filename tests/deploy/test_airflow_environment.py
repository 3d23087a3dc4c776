import json
import re
from importlib.resources import files
from pathlib import Path

import yaml
from airflow.providers.openlineage.get_provider_info import get_provider_info

from deploy.airflow_environment import airflow_environment, locate_lineage
from deploy.credentials import load_credentials


def test_every_option_exists_in_the_installed_airflow(home):
    known = yaml.safe_load((files("airflow.config_templates") / "config.yml").read_text())
    known |= get_provider_info()["config"]
    names = {f"AIRFLOW__{s.upper()}__{o.upper()}" for s, section in known.items() for o in section["options"]}
    chosen = airflow_environment(home, load_credentials(home)).keys() - {"AIRFLOW_HOME"}
    assert chosen - names == set()


def test_it_listens_on_loopback_only_and_loads_no_examples(home):
    environment = airflow_environment(home, load_credentials(home))
    assert environment["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert environment["AIRFLOW__API__BASE_URL"] == home.airflow_url
    assert environment["AIRFLOW__CORE__LOAD_EXAMPLES"] == "False"


def test_all_it_writes_lies_in_the_home(home):
    environment = airflow_environment(home, load_credentials(home))
    for name in (
        "AIRFLOW_HOME",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE",
    ):
        assert environment[name].startswith(str(home.root))


def test_lineage_events_lie_in_the_home_and_are_appended(home):
    environment = airflow_environment(home, load_credentials(home))
    transport = json.loads(environment["AIRFLOW__OPENLINEAGE__TRANSPORT"])
    assert transport == {"type": "file", "log_file_path": str(locate_lineage(home)), "append": True}
    assert Path(transport["log_file_path"]).is_relative_to(home.root)


def test_the_form_of_an_erasure_is_in_no_event(home):
    environment = airflow_environment(home, load_credentials(home))
    [rule] = json.loads(environment["AIRFLOW__OPENLINEAGE__EMISSION_POLICY"])
    assert re.fullmatch(rule["scope"]["dag_id"], "digits.forget_images")
    assert not re.fullmatch(rule["scope"]["dag_id"], "digits.ingest_images")
    assert (rule["match_mode"], rule["controls"], rule["locked"]) == ("regex", {"emit": False}, True)
