"""Folders in which the frames of videos stand in for the videos."""

from dataclasses import dataclass
from io import BufferedReader

from include.data.sources.folders import Folder
from include.data.sources.videos import read_frame


@dataclass(frozen=True)
class ExpandedFolder:
    """A folder, and another that holds the frames of some of its videos.

    :param clips: Videos that `frames` holds a folder of frames for, in name order.
    """

    base: Folder
    frames: Folder
    clips: frozenset[str]

    @property
    def uri(self) -> str:
        """Where the videos are."""
        return self.base.uri

    def enter(self, name: str) -> Folder:
        """Return a folder inside it; the videos below are as they came."""
        return self.base.enter(name)

    def list_files(self) -> dict[str, float]:
        """List frames in the place of videos, each as old as its video."""
        times = self.base.list_files()
        files = {name: at for name, at in times.items() if name not in self.clips}
        for name in self.frames.list_files():
            frame = read_frame(name)
            if frame and frame[0] in times:
                files[name] = times[frame[0]]
        return dict(sorted(files.items()))

    def find_time(self, name: str) -> float | None:
        """Return when a file came."""
        return self._find(name).find_time(name)

    def find_youngest(self) -> float | None:
        """Return when the last file came."""
        return self.base.find_youngest()

    def open(self, name: str) -> BufferedReader:
        """Open a file or a frame."""
        return self._find(name).open(name)

    def read(self, name: str, max_bytes: int) -> bytes:
        """Read a file or a frame."""
        return self._find(name).read(name, max_bytes)

    def _find(self, name: str) -> Folder:
        frame = read_frame(name)
        return self.frames if frame and frame[0] in self.clips else self.base
