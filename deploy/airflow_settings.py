"""Apply `airflow_settings.yaml` (Astro's file format) through Airflow's REST API; applying it again changes nothing."""

import json
import string
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import yaml

from deploy.credentials import ADMIN, load_credentials
from deploy.errors import StackError
from deploy.home import Home
from include.settings import REPOSITORY

SETTINGS_FILE = REPOSITORY / "airflow_settings.yaml"


def apply_airflow_settings(home: Home, path: Path = SETTINGS_FILE) -> None:
    """Create or overwrite the connections, pools and variables of the file."""
    settings = read_airflow_settings(path, settings_environment(home))
    with closing(open_airflow(home)) as airflow:
        for kind, entities in settings.items():
            _overwrite(airflow, kind, entities)


def settings_environment(home: Home) -> dict[str, str]:
    """Return all that `${...}` in the file may stand for; the caller's own environment is not looked at."""
    return home.locations() | {
        "WINDHOVER_POSTGRES_HOST": home.postgres_host,
        "WINDHOVER_POSTGRES_PORT": str(home.ports.postgres),
        "WINDHOVER_POSTGRES_PASSWORD": load_credentials(home).postgres_password,
    }


def read_airflow_settings(path: Path, environment: dict[str, str]) -> dict[str, list[dict[str, Any]]]:
    """Translate the file into the entities of Airflow's REST API."""
    try:
        airflow = yaml.safe_load(path.read_text())["airflow"] or {}
        connections = [_connection(_fill(entry, environment)) for entry in airflow.get("connections") or []]
        pools = [_pool(_fill(entry, environment)) for entry in airflow.get("pools") or []]
        variables = [_variable(_fill(entry, environment)) for entry in airflow.get("variables") or []]
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise StackError(
            f"{path}: {type(error).__name__} {' '.join(str(error).split())}; see its head for the format"
        ) from error
    return {"connections": connections, "pools": pools, "variables": variables}


def open_airflow(home: Home) -> httpx.Client:
    """Sign in as the administrator; return a client of Airflow's REST API, to be closed by the caller."""
    client = httpx.Client(base_url=home.airflow_url, timeout=60, trust_env=False)
    login = {"username": ADMIN, "password": load_credentials(home).admin_password}
    answer = client.post("/auth/token", json=login)
    if not answer.is_success:
        client.close()
        raise StackError(
            f"Airflow refused the password in {home.secrets} ({answer.status_code}); `make down`, `make up`"
        )
    client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
    return client


def _overwrite(airflow: httpx.Client, kind: str, entities: list[dict[str, Any]]) -> None:
    action = {"action": "create", "entities": entities, "action_on_existence": "overwrite"}
    answer = airflow.patch(f"/api/v2/{kind}", json={"actions": [action]})
    errors = answer.json().get("create", {}).get("errors") if answer.is_success else answer.text
    if errors:
        raise StackError(f"Airflow refused {kind} of airflow_settings.yaml: {errors}")


def _fill(entry: dict[str, Any], environment: dict[str, str]) -> dict[str, Any]:
    return {
        name: string.Template(value).substitute(environment) if isinstance(value, str) else value
        for name, value in entry.items()
    }


def _connection(entry: dict[str, Any]) -> dict[str, Any]:
    extra = entry.get("conn_extra")
    return {
        "connection_id": entry["conn_id"],
        "conn_type": entry["conn_type"],
        "host": entry.get("conn_host"),
        "schema": entry.get("conn_schema"),
        "login": entry.get("conn_login"),
        "password": entry.get("conn_password"),
        "port": int(entry["conn_port"]) if entry.get("conn_port") else None,
        "extra": json.dumps(extra) if isinstance(extra, dict) else extra,
    }


def _pool(entry: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": entry["pool_name"],
        "slots": int(entry["pool_slot"]),
        "description": entry.get("pool_description", ""),
    }


def _variable(entry: dict[str, Any]) -> dict[str, Any]:
    return {"key": entry["variable_name"], "value": str(entry["variable_value"])}
