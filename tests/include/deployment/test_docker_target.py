"""What needs no engine; the rest is in tests/integration/containers."""

import pytest

from include.deployment.docker_home import DockerHome
from include.deployment.docker_target import DockerTarget
from include.errors import ServiceUnavailableError
from include.settings import Settings


@pytest.mark.parametrize("call", ["prepare", "finish", "abandon"])
def test_without_an_engine_nothing_is_done_and_nobody_is_kept_waiting(call, tmp_path, monkeypatch, release_of):
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    settings = Settings(home=tmp_path)
    with pytest.raises(ServiceUnavailableError, match="no container engine answers"):
        getattr(DockerTarget(settings, "postgresql://ledger/windhover"), call)(release_of(1))
    with DockerHome(settings, "").lock():
        assert {path.name for path in (tmp_path / "docker").iterdir()} == {"lock"}
