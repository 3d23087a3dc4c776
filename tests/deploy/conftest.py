import pytest

from deploy.credentials import ensure_credentials
from deploy.home import Home, Ports
from include.settings import Settings


@pytest.fixture
def home(tmp_path):
    """A home that has its credentials, and in which nothing runs."""
    home = Home(Settings(home=tmp_path / "home"), Ports())
    home.root.mkdir()
    ensure_credentials(home)
    return home
