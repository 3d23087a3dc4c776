import pytest

from deploy.check_lock import find_disagreements, read_installed
from include.settings import REPOSITORY

REQUIREMENTS = "flask>=3  # pages\n"
LOCK = """\
# by uv
flask==3.1.0
    # via -r requirements.txt
jinja2==3.1.5 ; python_version >= "3.0"
    # via
    #   flask
jinja2==2.0 ; python_version < "3.0"
    # via flask
"""
INSTALLED = {"flask": "3.1.0", "jinja2": "3.1.5", "pip": "24.0"}


@pytest.fixture
def disagreements(tmp_path):
    def find(requirements=REQUIREMENTS, lock=LOCK, installed=INSTALLED):
        (tmp_path / "requirements.txt").write_text(requirements)
        (tmp_path / "requirements.lock").write_text(lock)
        return find_disagreements(tmp_path / "requirements.txt", tmp_path / "requirements.lock", installed)

    return find


def test_our_own_files_and_environment_agree():
    found = find_disagreements(REPOSITORY / "requirements.txt", REPOSITORY / "requirements.lock", read_installed())
    assert found == []


def test_files_that_agree_pass(disagreements):
    assert disagreements() == []


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"requirements": "flask>=4  # pages\n"}, "flask>=4 is required, yet locked is flask==3.1.0"),
        ({"requirements": REQUIREMENTS + "rich>=14  # tables\n"}, "rich is required, yet not locked"),
        ({"requirements": "flask>=3\n"}, "flask has no reason"),
        ({"requirements": "flask>=>3  # pages\n"}, "is no requirement"),
        ({"requirements": ""}, "flask is locked as a direct requirement, yet not required"),
        ({"lock": LOCK + "left-over==1.0\n    # via gone\n"}, "left-over is locked, yet nothing needs it"),
        ({"installed": INSTALLED | {"flask": "3.0.0"}}, "flask 3.1.0 is locked, installed is 3.0.0"),
        ({"installed": {"flask": "3.1.0"}}, "jinja2 3.1.5 is locked, installed is nothing"),
        ({"installed": INSTALLED | {"smuggled": "1.0"}}, "smuggled 1.0 is installed, yet not locked"),
    ],
)
def test_every_drift_is_found(disagreements, change, complaint):
    assert any(complaint in line for line in disagreements(**change))
