import pytest

from deploy import environment
from deploy.environment import ensure_environment, find_uv

LOCK = "typer==1.0\n    # via -r requirements.txt\nuv==0.9.1 ; python_version >= '3'\n"


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository whose lock is installed by a stand-in that counts, into a real virtual environment."""
    folder = tmp_path / "with space"
    folder.mkdir()
    (folder / "requirements.lock").write_text(LOCK)
    monkeypatch.setattr(environment, "_install", lambda scripts, uv, root: (root / "installs").open("a").write("."))
    return folder


def count_installs(repository):
    return len((repository / "installs").read_text())


def test_uv_comes_in_the_version_of_the_lock():
    assert find_uv(LOCK) == "uv==0.9.1"
    with pytest.raises(SystemExit, match="does not pin uv"):
        find_uv("typer==1.0\n")


def test_a_lock_is_installed_once_and_a_changed_one_again(repository):
    ensure_environment(repository)
    ensure_environment(repository)
    assert count_installs(repository) == 1
    (repository / "requirements.lock").write_text(LOCK + "rich==14\n")
    ensure_environment(repository)
    assert count_installs(repository) == 2


def test_what_a_killed_installation_left_is_thrown_away(repository, monkeypatch):
    def die(scripts, uv, root):
        (root / ".venv" / "half").touch()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(environment, "_install", die)
        with pytest.raises(KeyboardInterrupt):
            ensure_environment(repository)
    assert (repository / ".venv" / "half").exists()
    ensure_environment(repository)
    assert not (repository / ".venv" / "half").exists()
    assert count_installs(repository) == 1
