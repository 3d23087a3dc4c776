"""Airflow's options in containers: those of the embedded stack, with Celery workers and services by name."""

import json

from deploy.airflow_environment import airflow_environment, write_transport
from deploy.containers.home import ContainerHome
from deploy.credentials import ADMIN, Credentials, airflow_users_file


def container_airflow_environment(home: ContainerHome) -> dict[str, str]:
    """Return the variables of one Airflow part; what needs a secret this container is not given is left out."""
    credentials = prepare_credentials(home)
    options = (
        airflow_environment(home, credentials)
        | _celery(home)
        | {
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CORE__PARALLELISM": "8",
            "AIRFLOW__API__HOST": "0.0.0.0",  # noqa: S104 - inside the container; compose publishes it on the loopback only
            # Beside the task logs: the one volume that every part which emits events can write.
            "AIRFLOW__OPENLINEAGE__TRANSPORT": write_transport(home.logs / "openlineage.ndjson"),
            "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "True",
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_HOST": "127.0.0.1",
        }
    )
    if not home.has_secret("airflow_database_password"):
        del options["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    return {name: value for name, value in options.items() if value}


def prepare_credentials(home: ContainerHome) -> Credentials:
    """Lay the mounted secrets out as `deploy.credentials` keeps them; those not mounted stay empty."""
    secrets = {name: _read_if_given(home, name) for name in Credentials.__dataclass_fields__}
    # To Airflow, "the" PostgreSQL password is that of the ledger's role: the superuser's stays with the server.
    secrets["postgres_password"] = _read_if_given(home, "windhover_database_password")
    for name, secret in secrets.items():
        home.write_secret(home.secrets / name, secret)
    if secrets["admin_password"]:
        home.write_secret(airflow_users_file(home), json.dumps({ADMIN: secrets["admin_password"]}))
    return Credentials(**secrets)


def _celery(home: ContainerHome) -> dict[str, str]:
    if not home.has_secret("redis_password"):
        return {}
    server = f"redis://:{home.read_secret('redis_password')}@redis:6379"
    return {
        "AIRFLOW__CELERY__BROKER_URL": f"{server}/0",
        # Results in Redis as well: a worker, which runs project code, then needs no way into Airflow's database.
        "AIRFLOW__CELERY__RESULT_BACKEND": f"{server}/1",
        "AIRFLOW__CELERY__WORKER_CONCURRENCY": "4",
    }


def _read_if_given(home: ContainerHome, name: str) -> str:
    return home.read_secret(name) if home.has_secret(name) else ""
