import shutil
import tempfile
from pathlib import Path

import pytest

from deploy import postgres
from deploy.credentials import ensure_credentials, load_credentials
from deploy.errors import StackError
from deploy.home import Home, Ports
from deploy.postgres import ensure_data_folder, postgres_command
from include.settings import Settings


@pytest.fixture
def reachable_home():
    """A home PostgreSQL's own user can be let into, without touching pytest's folders."""
    folder = Path(tempfile.mkdtemp(prefix="windhover-test-"))
    home = Home(Settings(home=folder / "h o m e"), Ports(postgres=1))
    home.root.mkdir()
    ensure_credentials(home)
    yield home
    shutil.rmtree(folder)


def test_the_data_folder_is_made_once_and_only_passwords_open_it(reachable_home):
    ensure_data_folder(reachable_home)
    made = (reachable_home.database / "PG_VERSION").stat()
    rules = (reachable_home.database / "pg_hba.conf").read_text().splitlines()
    assert {rule.split()[-1] for rule in rules if rule and not rule.startswith("#")} == {"scram-sha-256"}
    ensure_data_folder(reachable_home)
    assert (reachable_home.database / "PG_VERSION").stat() == made


def test_a_killed_attempt_leaves_nothing_and_the_next_succeeds(reachable_home):
    half = reachable_home.root / ".postgres-killed" / "data"
    half.mkdir(parents=True)
    ensure_data_folder(reachable_home)
    assert list(reachable_home.root.glob(".postgres-*")) == []
    assert (reachable_home.database / "PG_VERSION").read_text().strip() == "18"


def test_a_failed_initdb_is_one_line_and_leaves_nothing(reachable_home, monkeypatch):
    monkeypatch.setattr(postgres, "DATABASE_USER", "pg_reserved")
    with pytest.raises(StackError, match="could not create its data folder") as refused:
        ensure_data_folder(reachable_home)
    assert "\n" not in str(refused.value)
    assert [path.name for path in reachable_home.root.iterdir()] == ["secrets"]


def test_the_command_holds_no_password_and_opens_no_socket(reachable_home):
    words = " ".join(postgres_command(reachable_home))
    assert load_credentials(reachable_home).postgres_password not in words
    assert "listen_addresses=127.0.0.1" in words
    assert "unix_socket_directories= " in words
