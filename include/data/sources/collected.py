"""Deliveries that were made into a plain folder in the store, and what is remembered of the making."""

from pathlib import Path

from pydantic import Field

from include.contracts import BatchRef, Contract, Count, QuarantineReason
from include.data.sources.folders import Folder, open_folder
from include.errors import ArtifactNotFoundError
from include.storage import Store

CONTENT = "content"
_RECORD = "collection.json"


class Collection(Contract):
    """What was collected. Names are those of images, relative to the same folder as everywhere."""

    images: Count = Field(description="Images found, those refused included.")
    sources: dict[str, str] = Field(default={}, description="Address each came from, where it came alone.")
    modified: dict[str, float] = Field(default={}, description="POSIX times the archive gives.")
    refused: dict[str, tuple[QuarantineReason, str]] = Field(default={}, description="Unfit before they are read.")
    clips: tuple[str, ...] = Field(default=(), description="Videos whose frames stand in for them.")

    def save(self, folder: Path) -> None:
        """Write it beside the content."""
        (folder / _RECORD).write_text(self.model_dump_json())


def find_collection(store: Store, address: str) -> Collection | None:
    """Return what is remembered of an address; None where nothing was collected yet."""
    if not store.exists(address):
        return None
    return Collection.model_validate_json(store.read(f"{address}/{_RECORD}"))


def open_collection(store: Store, batch: BatchRef) -> tuple[Folder, Collection]:
    """Open the content of a collected delivery.

    :raises ArtifactNotFoundError: it was removed meanwhile.
    """
    collection = find_collection(store, str(batch.collected))
    if collection is None:
        raise ArtifactNotFoundError(
            f"what was collected of {batch.uri} is not in the store any more; collect {batch.partition} again"
        )
    return open_folder(store.uri(f"{batch.collected}/{CONTENT}")), collection
