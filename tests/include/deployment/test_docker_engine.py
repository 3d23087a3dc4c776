import pytest

from include.deployment.docker_engine import open_engine
from include.errors import ServiceUnavailableError


@pytest.mark.parametrize("where", ["unix:///nowhere/docker.sock", "tcp://127.0.0.1:1"])
def test_an_engine_that_is_away_is_named_with_what_to_do(monkeypatch, where):
    monkeypatch.setenv("DOCKER_HOST", where)
    with pytest.raises(ServiceUnavailableError, match=f"{where}.*WINDHOVER_TARGET=process"), open_engine():
        pytest.fail("nobody can answer")
