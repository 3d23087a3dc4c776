"""Every Airflow option of the embedded stack, in one place."""

from deploy.credentials import Credentials, airflow_users_file
from deploy.home import LOOPBACK, Home
from include.settings import REPOSITORY


def airflow_environment(home: Home, credentials: Credentials) -> dict[str, str]:
    """Return `AIRFLOW__SECTION__OPTION` for all Airflow parts of a stack."""
    options = _locations(home) | _access(home, credentials) | _size() | _pace()
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
    }


def _access(home: Home, credentials: Credentials) -> dict[tuple[str, str], str]:
    return {
        ("core", "auth_manager"): "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
        ("core", "simple_auth_manager_users"): "admin:admin",
        ("core", "simple_auth_manager_passwords_file"): str(airflow_users_file(home)),
        ("core", "fernet_key"): credentials.fernet_key,
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
