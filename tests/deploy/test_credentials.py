import json

from deploy.credentials import airflow_users_file, ensure_credentials, load_credentials


def test_secrets_are_made_once_and_kept(home):
    before = load_credentials(home)
    assert ensure_credentials(home) is False
    assert load_credentials(home) == before


def test_every_home_has_its_own_and_none_is_empty(home, tmp_path):
    values = list(vars(load_credentials(home)).values())
    assert len(set(values)) == len(values)
    assert min(map(len, values)) >= 32


def test_only_the_owner_reads_them_whatever_the_modes_were_before(home):
    home.secrets.chmod(0o755)
    ensure_credentials(home)
    assert home.secrets.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in home.secrets.iterdir()} == {0o600}


def test_airflow_and_postgres_get_them_in_their_own_formats(home):
    credentials = load_credentials(home)
    assert json.loads(airflow_users_file(home).read_text()) == {"admin": credentials.admin_password}
    assert home.passwords.read_text() == f"*:*:*:windhover:{credentials.postgres_password}\n"


def test_a_lost_secret_is_made_anew_and_the_others_stay(home):
    before = load_credentials(home)
    (home.secrets / "jwt_secret").unlink()
    assert ensure_credentials(home) is False
    after = load_credentials(home)
    assert after.jwt_secret != before.jwt_secret
    assert after.admin_password == before.admin_password


def test_they_do_not_show_in_a_traceback(home):
    assert load_credentials(home).admin_password not in repr(load_credentials(home))
