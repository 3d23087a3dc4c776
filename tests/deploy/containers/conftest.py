from collections.abc import Callable

import pytest

from deploy.containers.home import ContainerHome
from deploy.containers.secrets import generate_secrets
from deploy.home import Ports
from include.settings import Settings


@pytest.fixture
def container(tmp_path) -> Callable[..., ContainerHome]:
    """Give a function that makes the home of a container with the named secrets mounted."""
    generate_secrets(tmp_path / "all")

    def make(*secrets: str) -> ContainerHome:
        mounted = tmp_path / "mounted"
        mounted.mkdir()
        for name in secrets:
            (mounted / name).write_text((tmp_path / "all" / name).read_text())
        settings, runtime = Settings(home=tmp_path / "data"), tmp_path / "runtime"
        return ContainerHome(settings, Ports(postgres=5432), mounted=mounted, runtime=runtime)

    return make
