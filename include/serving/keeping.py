"""Keep the images of sampled requests: on disk before the answer is sent, in the store soon after."""

import contextlib
import logging
import threading
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from include.storage import Store
from include.vision.decoding import encode_canonical

PUBLISH_SECONDS = 2.0
# While the store is away, images wait on the disk; what does not fit is not kept.
MAX_WAITING = 1000
PIXELS = ".npy"

logger = logging.getLogger(__name__)


def image_address(project: str, request_id: str) -> str:
    """Address of the kept image of a request."""
    return f"{project}/images/served/{request_id}"


class ImageKeeper:
    """Images on their way to the store.

    :param folder: Local folder; processes may share it.
    """

    def __init__(self, folder: Path, store: Store) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._store = store
        self._waiting = 0
        self._trouble = ""
        self._stopping = threading.Event()
        self._publisher = threading.Thread(target=self._publish_often, name="images", daemon=True)

    def start(self) -> None:
        """Publish what dead processes left behind, and from then on whatever is kept."""
        self._publisher.start()

    def stop(self) -> None:
        """Publish everything once more and end; what the store does not take stays for the next process."""
        self._stopping.set()
        self._publisher.join()
        self._publish_all()

    def keep(self, project: str, request_id: str, image: NDArray[np.uint8], data: bytes | None) -> str | None:
        """Keep one image, and return the address it will have; None where there is no room.

        :param image: uint8 [H, W, 3], kept as PNG where there is no file.
        :param data: The file as it was sent.
        """
        if self._waiting >= MAX_WAITING:
            return None
        unfinished = self._folder / f".{request_id}"
        try:
            with unfinished.open("wb") as file:
                if data is None:
                    np.save(file, image)
                else:
                    file.write(data)
            (self._folder / project).mkdir(exist_ok=True)
            unfinished.rename(self._folder / project / f"{request_id}{PIXELS if data is None else ''}")
        except OSError:
            # The answer matters more than its image.
            logger.exception("the image of request %s is not kept", request_id)
            with contextlib.suppress(OSError):
                unfinished.unlink(missing_ok=True)
            return None
        self._waiting += 1
        return image_address(project, request_id)

    def _publish_often(self) -> None:
        while True:
            self._publish_all()
            if self._stopping.wait(PUBLISH_SECONDS):
                return

    def _publish_all(self) -> None:
        waiting = sorted(self._folder.glob("*/*"))
        self._waiting = len(waiting)
        try:
            for path in waiting:
                self._publish(path)
            self._trouble = ""
        except Exception as error:
            # The store is away, or is full; what waits is tried again.
            if self._trouble != str(error):
                logger.exception("images of requests stay in %s and will be tried again", self._folder)
            self._trouble = str(error)

    def _publish(self, path: Path) -> None:
        try:
            # Encoding takes long, and would make the request wait.
            data = encode_canonical(np.load(path)) if path.suffix == PIXELS else path.read_bytes()
        except FileNotFoundError:
            return  # Another process, which shares the folder, was faster.
        except (ValueError, EOFError):
            logger.exception("%s was torn by a power cut, and is dropped", path)
        else:
            self._store.write(image_address(path.parent.name, path.stem), data)
        path.unlink(missing_ok=True)
