"""Find and remove what derived files still hold of images that are being erased."""

from collections.abc import Collection, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from include.ledger import Ledger
from include.ledger.plans import find_plan
from include.project import Project
from include.storage import Store
from include.vision.releases import MANIFEST, REFERENCE, ReleaseManifest, release_address

SWEPT = (
    "archive", "batch_predictions", "collected", "evaluations", "quarantine", "releases", "reports", "staging",
)  # fmt: skip


def find_golden(project: Project, store: Store, images: Sequence[str], releases: Collection[str]) -> dict[str, str]:
    """Return the releases that hold one of the images as a golden image, or what was said of it: digest -> address."""
    found, named = {}, {"digest": list(images)}
    for digest in sorted(releases):
        address = release_address(project.name, digest)
        if store.exists(address):
            manifest = ReleaseManifest.model_validate_json(store.read(f"{address}/{MANIFEST}"))
            golden, reference = any(one.image in images for one in manifest.golden), f"{address}/{REFERENCE}"
            if golden or (store.exists(reference) and _names(store, reference, named)):
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
    """Remove staged rows, whose folders hold the bytes, answers, pages with pictures, and releases out of service.

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
    gone |= _find_evaluations(project.name, store, named)
    answered = store.list(f"{project.name}/batch_predictions", "*.parquet")
    gone |= {address.rpartition("/")[0] for address in answered if _names(store, address, named)}
    # By these names an archived model keeps the images that it was asked about; its seal allows for their erasure.
    kept = {f"{image.removeprefix('sha256:')}.png" for image in images}
    gone |= {one for one in store.list(f"{project.name}/archive", "*.png") if one.rpartition("/")[2] in kept}
    in_service = _list_in_service(ledger, project.name)
    gone |= {address for digest, address in golden.items() if digest not in in_service}
    # Archives, lists and data sets as they were unpacked, metadata included; they are collected again when needed.
    gone |= {"/".join(one.split("/")[:3]) for one in store.list(f"{project.name}/collected")}
    # Last come the answers that name the pages to remove: a killed attempt is completed by the next.
    for address in sorted(gone, reverse=True):
        store.remove(address)
    for kind in SWEPT:
        store.sweep(f"{project.name}/{kind}")
    return tuple(sorted(gone)), tuple(sorted(golden.keys() & in_service))


def _find_evaluations(project: str, store: Store, named: Mapping[str, Sequence[str]]) -> set[str]:
    """Find the answers about a test split that holds one of the images, and the pages that may show it."""
    gone = {one for one in store.list(f"{project}/evaluations", "*.parquet") if _names(store, one, named)}
    for address in list(gone):
        test, _, model = address.removesuffix(".parquet").removeprefix(f"{project}/evaluations/").partition("/")
        pages = f"{project}/reports/evaluation/{model}-{test}", f"{project}/reports/explanations/{model}"
        gone.update(page for page in pages if store.list(page))
    return gone


def _list_in_service(ledger: Ledger, project: str) -> set[str]:
    """Return the releases that the serving processes hold in memory."""
    plan = find_plan(ledger, project)
    return {release.digest for release in plan.releases} if plan else set()


def _names(store: Store, address: str, named: Mapping[str, Sequence[str]]) -> bool:
    with store.open(address) as file:
        columns = [name for name in named if name in pq.read_schema(file).names]
        file.seek(0)
        rows = pq.read_table(file, columns=columns)
    return any(pc.any(pc.is_in(rows[name], pa.array(named[name], pa.string()))).as_py() for name in columns)
