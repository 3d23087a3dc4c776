import docker
import pytest

from include.deployment.docker_image import build_release_image, name_image
from include.errors import ContractViolationError, NotCertifiedError


@pytest.fixture
def engine():
    """A client of an engine that is never asked."""
    return docker.DockerClient(base_url="tcp://127.0.0.1:1", version="1.44")


def test_an_image_is_named_by_the_release():
    assert name_image("sha256:" + "0f" * 32) == "windhover/release:" + "0f" * 32


def test_what_is_not_certified_gets_no_image(engine, make_release, store):
    release = make_release(1, spoil_signed=lambda signed: None)
    with pytest.raises(NotCertifiedError, match="carries no certificate"):
        build_release_image(engine, release, store)


def test_what_is_damaged_gets_no_image(engine, make_release, store):
    release = make_release(1)
    store.write(f"{release.address}/model.onnx", b"something else")
    with pytest.raises(ContractViolationError, match="is damaged"):
        build_release_image(engine, release, store)
