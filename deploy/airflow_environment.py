"""Every Airflow option of the embedded stack, in one place."""

import json
from pathlib import Path

from deploy.credentials import Credentials, airflow_users_file
from deploy.home import LOOPBACK, Home
from include.settings import REPOSITORY


def airflow_environment(home: Home, credentials: Credentials) -> dict[str, str]:
    """Return `AIRFLOW__SECTION__OPTION` for all Airflow parts of a stack."""
    options = _locations(home) | _access(home, credentials) | _size() | _pace() | _lineage(home)
    named = {f"AIRFLOW__{section.upper()}__{name.upper()}": value for (section, name), value in options.items()}
    return {"AIRFLOW_HOME": str(home.airflow), **named}


def _locations(home: Home) -> dict[tuple[str, str], str]:
    return {
        ("core", "dags_folder"): str(REPOSITORY / "dags"),
        ("core", "plugins_folder"): str(REPOSITORY / "plugins"),
        ("core", "load_examples"): "False",
        ("core", "default_timezone"): "utc",
        ("database", "sql_alchemy_conn"): home.database_url("airflow"),
        ("logging", "base_log_folder"): str(home.logs / "tasks"),
        ("logging", "dag_processor_child_process_log_directory"): str(home.logs / "dag_processor"),
        ("logging", "colored_console_log"): "False",
        # A hundred lines per task about what they registered.
        ("logging", "namespace_levels"): "great_expectations=WARNING faiss=WARNING",
    }


def locate_lineage(home: Home) -> Path:
    """Return the file to which OpenLineage events are appended, one JSON document a line; its folder must exist."""
    return home.root / "openlineage" / "events.ndjson"


def write_transport(events: Path) -> str:
    """Return the OpenLineage transport that appends events to a file."""
    return json.dumps({"type": "file", "log_file_path": str(events), "append": True})


def _lineage(home: Home) -> dict[tuple[str, str], str]:
    # An event holds the form of its run; that of an erasure may name a person.
    silent = {"scope": {"dag_id": r".*\.forget_images"}, "match_mode": "regex", "controls": {"emit": False}}
    return {
        ("openlineage", "transport"): write_transport(locate_lineage(home)),
        ("openlineage", "namespace"): "windhover",
        ("openlineage", "emission_policy"): json.dumps([silent | {"locked": True}]),
        ("openlineage", "execute_in_thread"): "True",  # a process for each event costs a task three times as much
    }


def _access(home: Home, credentials: Credentials) -> dict[tuple[str, str], str]:
    return {
        ("core", "auth_manager"): "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
        ("core", "simple_auth_manager_users"): "admin:admin",
        ("core", "simple_auth_manager_passwords_file"): str(airflow_users_file(home)),
        ("core", "fernet_key"): credentials.fernet_key,
        ("core", "sensitive_var_conn_names"): "subject",  # the audit log keeps the forms of runs
        ("core", "execution_api_server_url"): f"{home.airflow_url}/execution/",
        ("api_auth", "jwt_secret"): credentials.jwt_secret,
        ("api", "secret_key"): credentials.api_secret_key,
        ("api", "base_url"): home.airflow_url,
        ("api", "host"): LOOPBACK,
        ("api", "port"): str(home.ports.airflow),
    }


def _size() -> dict[tuple[str, str], str]:
    return {
        ("core", "executor"): "LocalExecutor",
        ("core", "parallelism"): "4",
        ("core", "mp_start_method"): "fork",  # children share memory with their parent
        ("core", "max_templated_field_length"): "65536",  # contracts travel in templated fields
        ("api", "workers"): "1",
        ("dag_processor", "parsing_processes"): "1",
        ("database", "sql_alchemy_pool_size"): "3",
    }


def _pace() -> dict[tuple[str, str], str]:
    # The defaults are made for thousands of DAGs; with these a chain of ten short tasks takes a third of the time.
    return {
        ("scheduler", "scheduler_idle_sleep_time"): "0.1",
        ("workers", "min_heartbeat_interval"): "1",
        ("dag_processor", "refresh_interval"): "10",
        ("dag_processor", "min_file_process_interval"): "30",
        ("dag_processor", "print_stats_interval"): "300",
    }
