"""Images of releases: the serving image, with one certified bundle in it."""

import io
import os
import tarfile
import tempfile
from typing import IO, Any

from docker import DockerClient
from docker.errors import BuildError, ImageNotFound
from docker.models.images import Image

from include.contracts import ReleaseRef
from include.errors import RolloutFailedError
from include.settings import REPOSITORY
from include.storage import Store
from include.vision.certificates import require_certificate
from include.vision.releases import Bundle, open_release

SERVING_IMAGE = "windhover/serving:local"
RELEASES = "/opt/windhover/releases"
LOG_LINES = 15


def build_serving_image(engine: DockerClient) -> Image:
    """Build the image of a serving process from this repository; what has not changed is not built again.

    :raises RolloutFailedError: it cannot be built; the message ends with what the build said last.
    """
    # For builds behind a proxy with a certificate authority of its own; see the Dockerfile.
    trusted = {name: os.environ[name] for name in ("SSL_CERT_FILE",) if name in os.environ}
    return _build(engine, SERVING_IMAGE, path=str(REPOSITORY), target="serving", buildargs=trusted)


def build_release_image(engine: DockerClient, release: ReleaseRef, store: Store) -> Image:
    """Build the image of a certified release, labelled with the digests of all that it is made of.

    The same release and serving image give the image that is there already.

    :raises NotCertifiedError: its certificate does not verify, or is about something else.
    :raises RolloutFailedError: it cannot be built.
    """
    bundle = open_release(store, release)
    certificate = require_certificate(release, bundle, store)
    serving = build_serving_image(engine)
    labels = {
        "windhover.release": release.digest,
        "windhover.project": release.model.model.project,
        "windhover.version": str(release.model.version),
        "windhover.model": release.model.model.key,
        "windhover.weights": release.model.model.weights,
        "windhover.graph": certificate.graph,
        "windhover.code": certificate.code,
        "windhover.lock": certificate.lock,
        "windhover.serving": str(serving.id),
    }
    tag = name_image(release.digest)
    try:
        found = engine.images.get(tag)
    except ImageNotFound:
        found = None
    if found is not None and labels.items() <= found.labels.items():
        return found
    with tempfile.TemporaryFile() as context:
        _write_context(context, bundle, release.address)
        return _build(engine, tag, fileobj=context, custom_context=True, labels=labels)


def name_image(digest: str) -> str:
    """Return the name of the image of a release."""
    return f"windhover/release:{digest.removeprefix('sha256:')}"


def _write_context(context: IO[bytes], bundle: Bundle, address: str) -> None:
    dockerfile = f"FROM {SERVING_IMAGE}\nCOPY release {RELEASES}/{address}\n".encode()
    with tarfile.open(fileobj=context, mode="w") as tar:
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(dockerfile)
        tar.addfile(entry, io.BytesIO(dockerfile))
        tar.add(bundle.folder, "release", filter=_open_to_all)
    context.seek(0)


def _open_to_all(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Make a file the same whoever packs it, and readable to whomever a container runs as."""
    entry.mode = 0o755 if entry.isdir() else 0o644
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = 0
    return entry


def _build(engine: DockerClient, tag: str, **source: Any) -> Image:
    try:
        image, _ = engine.images.build(tag=tag, rm=True, forcerm=True, **source)
    except BuildError as error:
        said = [str(line.get("stream") or line.get("error") or "").strip() for line in error.build_log]
        last = "\n".join([line for line in said if line][-LOG_LINES:])
        raise RolloutFailedError(f"image {tag} cannot be built: {error.msg}\n{last}") from error
    return image
