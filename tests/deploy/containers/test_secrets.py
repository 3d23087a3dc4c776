import multiprocessing
import subprocess
import sys

from cryptography.fernet import Fernet

from deploy.containers.secrets import NAMES, generate_secrets
from include.settings import REPOSITORY


def test_every_secret_is_new_different_and_hard_to_guess(tmp_path):
    assert generate_secrets(tmp_path / "secrets") == list(NAMES)
    values = [(tmp_path / "secrets" / name).read_text() for name in NAMES]
    assert len(set(values)) == len(NAMES)
    assert min(map(len, values)) >= 44
    Fernet((tmp_path / "secrets" / "fernet_key").read_text())


def test_a_second_run_touches_nothing_and_adds_what_is_missing(tmp_path):
    generate_secrets(tmp_path)
    before = {name: (tmp_path / name).read_text() for name in NAMES}
    assert generate_secrets(tmp_path) == []
    (tmp_path / "redis_password").unlink()
    assert generate_secrets(tmp_path) == ["redis_password"]
    after = {name: (tmp_path / name).read_text() for name in NAMES}
    assert after.pop("redis_password") != before.pop("redis_password")
    assert after == before


def test_only_the_folder_is_closed_so_that_containers_can_read_the_mounted_files(tmp_path):
    folder = tmp_path / "secrets"
    folder.mkdir(mode=0o755)
    generate_secrets(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o444}


def test_runs_at_once_agree_on_one_set_and_leave_nothing_else(tmp_path):
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        created = pool.map(generate_secrets, [tmp_path] * 4)
    assert sorted(name for names in created for name in names) == sorted(NAMES)
    assert {path.name for path in tmp_path.iterdir()} == set(NAMES)


def test_the_command_names_the_place_and_prints_no_secret(tmp_path):
    command = [sys.executable, "-m", "deploy.containers.secrets", str(tmp_path)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert str(tmp_path / "admin_password") in done.stdout
    assert not any((tmp_path / name).read_text() in done.stdout + done.stderr for name in NAMES)
