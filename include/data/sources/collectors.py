"""How the content of each kind of source gets into a folder."""

import hashlib
import io
import mimetypes
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from include.contracts import BatchRef
from include.data.arrivals import IMAGES, enter_images, list_images
from include.data.sources.archives import unpack
from include.data.sources.collected import Collection
from include.data.sources.facts import Label, date_observation
from include.data.sources.folders import Folder, open_folder
from include.data.sources.lists import MAX_CLIP_BYTES, download, read_list
from include.data.sources.manifest import write_tables
from include.data.sources.named import save_dataset
from include.data.sources.names import UnfitFileError
from include.data.sources.videos import is_video
from include.data.sources.web import FileGoneError, FileTooLargeError, ForbiddenTargetError, Web
from include.errors import DataQualityError
from include.project import Project
from include.storage import digest_bytes

MAX_LIST_BYTES = 1_000_000_000

# Fills an empty folder with the content of a delivery, and tells what to remember of it.
Fill = Callable[[Path], Collection]


def prepare(project: Project, batch: BatchRef, web: Web) -> tuple[str, Fill] | None:
    """Return what tells the content of a delivery from any other, and how to get it; None where it may stay there."""
    match project.source.kind:
        case "archive":
            return _prepare_archive(project, batch)
        case "list":
            return _prepare_list(project, batch, web)
        case "dataset":
            return batch.uri, lambda content: _fill_dataset(project, batch, content)
        case "folder":
            return _prepare_clips(project, batch) if project.source.frame_seconds else None


def _prepare_archive(project: Project, batch: BatchRef) -> tuple[str, Fill]:
    folder, name = _find_file(batch.uri)

    def fill(content: Path) -> Collection:
        with folder.open(name) as file:
            modified = unpack(name, file, content)
        return Collection(images=0, modified=_unwrap(project, content, modified))

    with folder.open(name) as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), fill


def _unwrap(project: Project, content: Path, modified: dict[str, float]) -> dict[str, float]:
    """Drop the one folder that many archives hold everything in, unless its name means something."""
    tops = {name.partition("/")[0] if "/" in name else "" for name in modified}
    wrapper = tops.pop() if len(tops) == 1 else ""
    if wrapper in {"", IMAGES, *project.classes}:
        return modified
    inside = [name.removeprefix(f"{wrapper}/") for name in modified]
    if project.source.layout == "class_folders" and _is_class(inside):
        # Its name is misspelt, or missing in the project: to drop it would hide that.
        return modified
    aside = content.with_name("wrapped")
    content.rename(aside)
    (aside / wrapper).rename(content)
    shutil.rmtree(aside)
    return {name.removeprefix(f"{wrapper}/"): at for name, at in modified.items()}


def _is_class(names: Sequence[str]) -> bool:
    """Tell a class from a wrapper, which holds folders, and of files only such as a licence beside them."""
    direct = [name for name in names if "/" not in name]
    kinds = (mimetypes.guess_type(name, strict=False)[0] or "" for name in direct)
    return len(direct) == len(names) or any(kind.startswith(("image/", "video/")) for kind in kinds)


def _prepare_list(project: Project, batch: BatchRef, web: Web) -> tuple[str, Fill]:
    data, modified = _read_list(batch.uri, web)

    def fill(content: Path) -> Collection:
        entries = read_list(batch.uri, data, project.source, date_observation(batch.partition, modified))
        labels = {entry.name: Label(entry.label, entry.shot.observed_at) for entry in entries if entry.label}
        write_tables(content, {entry.name: entry.shot for entry in entries}, labels)
        (content / IMAGES).mkdir()
        refused = download(entries, content / IMAGES, web, project.data.max_bytes)
        return Collection(images=0, sources={entry.name: entry.url for entry in entries}, refused=refused)

    return digest_bytes(data), fill


def _read_list(uri: str, web: Web) -> tuple[bytes, float | None]:
    if not uri.startswith(("http://", "https://")):
        folder, name = _find_file(uri)
        return folder.read(name, MAX_LIST_BYTES), folder.find_time(name)
    with io.BytesIO() as file:
        try:
            web.fetch(uri, file, MAX_LIST_BYTES)
        except (FileGoneError, FileTooLargeError, ForbiddenTargetError) as error:
            raise DataQualityError(f"the list cannot be fetched: {error}") from error
        return file.getvalue(), None


def _fill_dataset(project: Project, batch: BatchRef, content: Path) -> Collection:
    (content / IMAGES).mkdir()
    shots, labels = save_dataset(batch.uri, project.source, content / IMAGES, date_observation(batch.partition, None))
    write_tables(content, shots, labels)
    return Collection(images=0)


def _prepare_clips(project: Project, batch: BatchRef) -> tuple[str, Fill] | None:
    """Copy the videos of a folder, so that their frames can stand in for them; its images may stay there."""
    root = open_folder(batch.uri)
    images = enter_images(project.source, root)
    names = list_images(project.source, root)
    digests = {name: digest for name in names if is_video(name) and (digest := _digest_clip(images, name))}
    if not digests:
        return None

    def fill(content: Path) -> Collection:
        below = content / IMAGES if project.source.layout == "manifest" else content
        for name in digests:
            (below / name).parent.mkdir(parents=True, exist_ok=True)
            with images.open(name) as clip, (below / name).open("wb") as copy:
                shutil.copyfileobj(clip, copy, 1 << 20)
        return Collection(images=len(names) - len(digests))

    return repr(sorted(digests.items())), fill


def _digest_clip(images: Folder, name: str) -> str | None:
    try:
        with images.open(name) as file:
            if file.seek(0, io.SEEK_END) > MAX_CLIP_BYTES:
                return None
            file.seek(0)
            return hashlib.file_digest(file, "sha256").hexdigest()
    except UnfitFileError:
        # A link, say: it stays in the listing, and reading refuses it.
        return None


def _find_file(uri: str) -> tuple[Folder, str]:
    parent, _, name = uri.rpartition("/")
    return open_folder(parent), name
