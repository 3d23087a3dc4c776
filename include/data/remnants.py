"""Find and remove what derived files still hold of images that are being erased."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from include.data.dataset import open_dataset
from include.errors import ArtifactNotFoundError
from include.ledger import Ledger
from include.ledger.releases import find_serving_releases, find_serving_rollouts
from include.project import Project
from include.storage import Store
from include.vision.releases import release_address
from include.vision.stored_images import decode_stored

NAMING = ("digest", "subject")


def find_golden(project: Project, store: Store, images: Sequence[str], releases: Collection[str]) -> dict[str, str]:
    """Return the releases that hold one of the images as a golden image: digest -> address.

    To be asked while the dataset still holds the images: a golden image is known by its pixels.
    """
    wanted = _read_pixels(project, store, images) if releases else []
    found = {}
    for digest in sorted(releases):
        address = release_address(project.name, digest)
        for name in store.list(f"{address}/golden", "*.png"):
            golden = decode_stored(store.read(name))
            if any(np.array_equal(golden, pixels) for pixels in wanted):
                found[digest] = address
    return found


def remove_remnants(
    project: Project,
    store: Store,
    ledger: Ledger,
    images: Sequence[str],
    subject: str | None,
    versions: Sequence[int],
    golden: Mapping[str, str],
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Remove staged rows, whose folders hold the bytes, reports with pictures, and releases out of service.

    :return: Addresses that were removed, and releases that must be replaced first.
    """
    named = {"digest": list(images), "subject": [subject] if subject else []}
    staged = [one for one in store.list(f"{project.name}/staging", "*.parquet") if _names(store, one, named)]
    gone = {address.rpartition("/")[0] for address in staged}
    numbers = {str(version) for version in versions}
    for report in store.list(f"{project.name}/reports/datasheets", "index.html"):
        folder = report.rpartition("/")[0]
        if folder.rpartition("/")[2].partition("-")[0] in numbers:
            gone.add(folder)
    in_service = _list_in_service(ledger, project.name)
    gone |= {address for digest, address in golden.items() if digest not in in_service}
    # Archives, lists and data sets as they were unpacked, metadata included; they are collected again when needed.
    gone |= {"/".join(one.split("/")[:3]) for one in store.list(f"{project.name}/collected")}
    for address in gone:
        store.remove(address)
    return tuple(sorted(gone)), tuple(sorted(golden.keys() & in_service))


def _read_pixels(project: Project, store: Store, images: Sequence[str]) -> list[np.ndarray]:
    try:
        dataset = open_dataset(project, store)
    except ArtifactNotFoundError:
        return []
    names = ", ".join(f"'{image}'" for image in images)
    rows = dataset.to_table(columns=["image"], filter=f"digest IN ({names})") if names else pa.table({"image": []})
    return [decode_stored(data) for data in rows["image"].to_pylist()]


def _list_in_service(ledger: Ledger, project: str) -> set[str]:
    """Return the releases a serving process may be asked to load: the one that serves, and the one to return to."""
    serving = find_serving_releases(ledger).get(project)
    rollouts = find_serving_rollouts(ledger, project)
    before = {rollout.previous for rollout in rollouts if rollout.previous}
    return before | ({serving.digest} if serving else set())


def _names(store: Store, address: str, named: Mapping[str, Sequence[str]]) -> bool:
    with store.open(address) as file:
        columns = [name for name in NAMING if name in pq.read_schema(file).names]
        file.seek(0)
        rows = pq.read_table(file, columns=columns)
    return any(pc.any(pc.is_in(rows[name], pa.array(named[name], pa.string()))).as_py() for name in columns)
