import pytest
from rich.console import Console

from deploy.errors import StackError
from deploy.home import open_home
from deploy.startup import bring_up
from deploy.supervision import Supervisor


@pytest.fixture
def supervised(home, monkeypatch):
    """A home whose supervisor runs, without any part."""
    monkeypatch.setenv("WINDHOVER_HOME", str(home.root))
    for variable in ("WINDHOVER_SERVING_REPLICAS", "WINDHOVER_SERVING_PORT"):
        monkeypatch.delenv(variable, raising=False)
    home.logs.mkdir()
    home.remember_choices()
    Supervisor(home).launch()
    yield home
    Supervisor(home).shut_down()


@pytest.mark.parametrize(
    ("variable", "reason"), [("SERVING_REPLICAS", "with 2 serving replicas"), ("SERVING_PORT", "serving on port 8090")]
)
def test_a_running_stack_is_neither_moved_nor_resized(supervised, monkeypatch, variable, reason):
    monkeypatch.setenv(f"WINDHOVER_{variable}", "3")
    with pytest.raises(StackError, match=rf"{reason}; `make down`"):
        bring_up(open_home(), Console(quiet=True))
    assert {info["statename"] for info in Supervisor(supervised).describe().values()} == {"STOPPED"}
