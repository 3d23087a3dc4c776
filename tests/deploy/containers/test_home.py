import pytest

from deploy.errors import StackError


def test_an_absent_secret_is_named_with_what_to_do(container):
    with pytest.raises(StackError, match=r"mounted/redis_password is not readable: No such file.*make compose-secrets"):
        container().read_secret("redis_password")


@pytest.mark.parametrize("content", ["", "\n", "  "])
def test_an_empty_secret_is_no_password(container, content):
    home = container()
    (home.mounted / "redis_password").write_text(content)
    with pytest.raises(StackError, match=r"redis_password is empty.*make compose-secrets"):
        home.read_secret("redis_password")


def test_database_passwords_are_laid_out_for_libpq_one_role_each(container):
    home = container("airflow_database_password", "windhover_database_password", "postgres_password")
    home.write_database_passwords()
    airflow, windhover = (home.read_secret(f"{name}_database_password") for name in ("airflow", "windhover"))
    assert home.passwords.read_text().splitlines() == [
        f"postgres:5432:airflow:airflow:{airflow}",
        f"postgres:5432:windhover:windhover:{windhover}",
    ]
    assert home.passwords.stat().st_mode & 0o777 == 0o600


def test_a_database_url_carries_no_password(container):
    home = container("mlflow_database_password")
    url = home.database_url("mlflow")
    assert url.startswith("postgresql+psycopg2://mlflow@postgres:5432/mlflow?passfile=")
    assert home.read_secret("mlflow_database_password") not in url
