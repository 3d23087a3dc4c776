"""Deliveries annotated as COCO: JSON files with images, annotations and categories.

Format: https://cocodataset.org/#format-data. An image is labelled where all its annotations are of one category.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import PurePosixPath

from pydantic import BaseModel, ValidationError

from include.data.sources.facts import Facts, Label, Shot, name_group
from include.data.sources.folders import Folder
from include.data.sources.names import UnfitFileError
from include.errors import DataQualityError
from include.project import SourceConfig

_MAX_BYTES = 1_000_000_000


class _Image(BaseModel):
    id: int | str
    file_name: str
    date_captured: str | int | float | None = None


class _Annotation(BaseModel):
    image_id: int | str
    category_id: int | str


class _Category(BaseModel):
    id: int | str
    name: str


class _Document(BaseModel):
    images: list[_Image]
    annotations: list[_Annotation] = []
    categories: list[_Category] = []


@dataclass
class _Subject:
    """One image, as all documents together describe it."""

    captured: datetime | None = None
    categories: set[str] = field(default_factory=set)


def read_facts(source: SourceConfig, folder: Folder, times: dict[str, datetime]) -> Facts:
    """Join the images with the categories of their annotations, of all `*.json` files of the delivery.

    An image with several categories is refused; one without is not labelled. `date_captured` says when an image was
    observed, where it is a time.

    :param times: When each file was observed, unless its document says so.
    :raises DataQualityError: a document is not COCO; says which and where.
    """
    subjects: dict[str, _Subject] = {}
    for place, document in _read_documents(folder):
        _describe(place, document, f"{folder.uri}/", times, subjects)
    facts = Facts(tuple(sorted({*times, *subjects})))
    for name, subject in subjects.items():
        if name not in times:
            facts.refused[name] = ("missing_file", "described, but not delivered")
            continue
        observed_at = subject.captured or times[name]
        facts.shots[name] = Shot(observed_at, name_group(source, name))
        if len(subject.categories) > 1:
            facts.refused[name] = ("ambiguous_label", f"annotated as {', '.join(sorted(subject.categories))}")
        elif subject.categories:
            facts.labels[name] = (Label(min(subject.categories), observed_at),)
    return facts


def _read_documents(folder: Folder) -> Iterator[tuple[str, _Document]]:
    names = [name for name in folder.list_files() if name.endswith(".json")]
    if not names:
        raise DataQualityError(f"no *.json in {folder.uri}; a COCO delivery describes its images there")
    for name in names:
        place = f"{folder.uri}/{name}"
        try:
            yield place, _Document.model_validate_json(folder.read(name, _MAX_BYTES))
        except UnfitFileError as error:
            raise DataQualityError(f"{place} cannot be read: {error}") from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "document"
            raise DataQualityError(f"{place}: not COCO: {where}: {first['msg']}") from error


def _describe(
    place: str, document: _Document, root: str, times: Mapping[str, datetime], subjects: dict[str, _Subject]
) -> None:
    beside = place.removeprefix(root).rpartition("/")[0]
    names = {image.id: _find_file(image.file_name, beside, times) for image in document.images}
    for image in document.images:
        subject = subjects.setdefault(names[image.id], _Subject())
        subject.captured = subject.captured or _read_time(image.date_captured)
    categories = {category.id: category.name for category in document.categories}
    for annotation in document.annotations:
        if annotation.image_id not in names or annotation.category_id not in categories:
            raise DataQualityError(
                f"{place}: an annotation names image {annotation.image_id!r} and category {annotation.category_id!r}; "
                "one of them is not described"
            )
        subjects[names[annotation.image_id]].categories.add(categories[annotation.category_id])


def _find_file(file_name: str, beside: str, times: Mapping[str, datetime]) -> str:
    """Find an image beside its document, below the delivery, or in its `images/`, where exporters put it."""
    places = [str(PurePosixPath(parent) / file_name) for parent in (beside, "", "images")]
    return next((name for name in places if name in times), file_name)


def _read_time(captured: str | int | float | None) -> datetime | None:
    try:
        time = datetime.fromisoformat(str(captured))
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
