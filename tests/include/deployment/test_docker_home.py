import os
import stat
from pathlib import Path

import pytest
import sqlalchemy as sa

from include.deployment.docker_home import DockerHome
from include.errors import ContractViolationError
from include.settings import Settings

SOMEBODY = 10001
ON_SOCKET = "postgresql+psycopg2://postgres@/windhover?host=/tmp/sockets"


@pytest.fixture
def home(tmp_path: Path):
    """Give a function that makes the home of containers, with a store that is not root's."""
    store = tmp_path / "store"
    store.mkdir()
    if os.geteuid() == 0:
        os.chown(store, SOMEBODY, SOMEBODY)
    settings = Settings(home=tmp_path / "home", store=str(store), serving_token="s3cret")  # noqa: S106
    return lambda uri=ON_SOCKET, **changes: DockerHome(settings.model_copy(update=changes), uri)


@pytest.mark.parametrize(
    ("uri", "network"),
    [
        (ON_SOCKET, "none"),
        ("postgresql://w@127.0.0.1:5432/windhover", "host"),
        ("postgresql://w@localhost/windhover", "host"),
        ("postgresql://w@[::1]/windhover", "host"),
        ("postgresql://w@ledger.example/windhover", "bridge"),
        ("postgresql://w@10.0.0.7/windhover", "bridge"),
    ],
)
def test_a_container_gets_no_more_network_than_the_ledger_needs(home, uri, network):
    assert home(uri).network == network


def test_the_ledgers_address_reaches_a_container_as_a_file_that_only_its_user_reads(home, tmp_path):
    passfile = tmp_path / "pgpass"
    passfile.write_text("*:*:*:w:password\n")
    made = home(f"postgresql+psycopg2://w@127.0.0.1:5432/windhover?passfile={passfile}")
    made.furnish()
    made.furnish()
    secrets = made.root / "secrets"
    told = sa.make_url((secrets / "windhover_ledger_uri").read_text())
    assert (told.host, told.query["passfile"]) == ("127.0.0.1", "/run/secrets/pgpass")
    assert (secrets / "pgpass").read_text() == passfile.read_text()
    assert (secrets / "windhover_serving_token").read_text() == "s3cret"
    for path in secrets.iterdir():
        assert (path.stat().st_uid, path.stat().st_gid) == made.owner
        assert stat.S_IMODE(path.stat().st_mode) == 0o400
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700


def test_a_ledger_on_a_socket_is_mounted(home):
    made = home()
    made.furnish()
    assert sa.make_url((made.root / "secrets" / "windhover_ledger_uri").read_text()).query["host"] == "/run/ledger"
    mounts = {mount["Target"]: (mount["Source"], mount["ReadOnly"]) for mount in made.list_mounts()}
    assert mounts["/run/ledger"] == ("/tmp/sockets", True)  # noqa: S108
    assert mounts["/run/secrets"][1]
    assert not mounts["/data/store"][1]
    assert "/run/ledger" not in {mount["Target"] for mount in home("postgresql://w@10.0.0.7/windhover").list_mounts()}


def test_two_homes_have_containers_of_different_names(home, tmp_path):
    assert home().name == home().name != home(home=tmp_path / "other").name


@pytest.mark.skipif(os.geteuid() != 0, reason="only root owns what belongs to root")
def test_no_container_runs_as_root(home, tmp_path):
    (tmp_path / "root's").mkdir()
    with pytest.raises(ContractViolationError, match=r"belongs to root.*chown -R"):
        home(store=str(tmp_path / "root's")).furnish()


@pytest.mark.parametrize("store", ["s3://bucket/store", "/nowhere/at/all"])
def test_a_store_that_is_no_folder_is_refused(home, store):
    with pytest.raises(ContractViolationError, match="no folder of this machine"):
        home(store=store).furnish()


def test_without_a_ledger_nothing_starts(home):
    with pytest.raises(ContractViolationError, match="WINDHOVER_LEDGER_URI"):
        home("").furnish()
