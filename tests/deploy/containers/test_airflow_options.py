import json

from deploy.airflow_settings import SETTINGS_FILE, read_airflow_settings, settings_environment
from deploy.containers.airflow_options import container_airflow_environment
from deploy.credentials import airflow_users_file, load_credentials

API_SERVER = ("admin_password", "fernet_key", "jwt_secret", "api_secret_key", "airflow_database_password")


def test_tasks_go_to_celery_workers_and_report_to_the_api_server(container):
    home = container("redis_password", "api_secret_key")
    options = container_airflow_environment(home)
    broker = f"redis://:{home.read_secret('redis_password')}@redis:6379"
    assert options["AIRFLOW__CORE__EXECUTOR"] == "CeleryExecutor"
    assert options["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://api-server:8080/execution/"
    assert (options["AIRFLOW__CELERY__BROKER_URL"], options["AIRFLOW__CELERY__RESULT_BACKEND"]) == (
        f"{broker}/0",
        f"{broker}/1",
    )


def test_a_part_gets_no_option_whose_secret_it_is_not_given(container):
    options = container_airflow_environment(container("redis_password", "api_secret_key"))
    assert "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN" not in options
    assert "AIRFLOW__CORE__FERNET_KEY" not in options
    assert "AIRFLOW__API_AUTH__JWT_SECRET" not in options
    assert "" not in options.values()


def test_only_the_api_server_learns_the_administrators_password(container):
    home = container(*API_SERVER)
    options = container_airflow_environment(home)
    users = airflow_users_file(home)
    assert json.loads(users.read_text()) == {"admin": home.read_secret("admin_password")}
    assert options["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"] == str(users)
    assert home.read_secret("admin_password") not in options.values()
    assert "AIRFLOW__CELERY__BROKER_URL" not in options


def test_a_part_without_the_administrators_password_has_no_file_of_users(container):
    home = container("fernet_key")
    container_airflow_environment(home)
    assert not airflow_users_file(home).exists()


def test_secrets_laid_out_are_for_the_containers_user_only(container):
    home = container(*API_SERVER)
    container_airflow_environment(home)
    assert {path.stat().st_mode & 0o777 for path in home.secrets.iterdir()} == {0o600}


def test_the_shared_settings_file_names_the_ledgers_role_and_never_the_superuser(container):
    home = container("admin_password", "windhover_database_password")
    container_airflow_environment(home)
    [ledger] = read_airflow_settings(SETTINGS_FILE, settings_environment(home))["connections"]
    assert (ledger["host"], ledger["port"]) == ("postgres", 5432)
    assert (
        ledger["password"]
        == home.read_secret("windhover_database_password")
        == load_credentials(home).postgres_password
    )
