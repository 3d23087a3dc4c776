"""Compare dataset versions, and write one out as plain files."""

import shutil
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from include.contracts import DatasetDiffReport, DatasetRef
from include.errors import ArtifactNotFoundError, ContractViolationError
from include.storage import Store, digest_bytes
from include.vision.images import open_version, read_rows
from include.vision.schema import MANIFEST_COLUMNS

MANIFEST = "manifest.parquet"
UNLABELLED = "_unlabelled"
CONTENT = b"windhover.content"
# Images may be large, and what is read ahead is held in memory.
BATCH_ROWS, BATCHES_AHEAD = 32, 2
JPEG = b"\xff\xd8\xff"
# What no file name may hold on one system or another; `%` keeps the names apart.
ESCAPED = str.maketrans({sign: f"%{ord(sign):02X}" for sign in '%/\\:*?"<>|'})


def diff_versions(before: DatasetRef, after: DatasetRef, store: Store) -> DatasetDiffReport:
    """Say which images one version, or moment, has that another has not, and whose labels differ.

    :raises ArtifactNotFoundError: a version is gone, or holds other content than the one referred to.
    """
    old, new = _read_labels(before, store), _read_labels(after, store)
    return DatasetDiffReport(
        before=before,
        after=after,
        added=tuple(sorted(new.keys() - old.keys())),
        removed=tuple(sorted(old.keys() - new.keys())),
        relabelled={
            digest: (old[digest], new[digest])
            for digest in sorted(old.keys() & new.keys())
            if old[digest] != new[digest]
        },
    )


def materialise(dataset: DatasetRef, folder: Path, store: Store) -> None:
    """Write every image byte for byte as `<label>/<digest>.png` or `.jpg`, and what is known of them beside.

    The folder appears when it is complete; one that holds the same version already stays as it is. Labels that are no
    file names are percent-encoded. `manifest.parquet` names the file of every row in its column `file`.

    :raises ContractViolationError: the folder holds something else.
    :raises ArtifactNotFoundError: the version is gone, or damaged.
    """
    if folder.exists():
        _require_same(dataset, folder)
        return
    manifest = read_rows(dataset, store, _list_columns(dataset))
    manifest = manifest.sort_by([("partition", "ascending"), ("digest", "ascending")])
    folder.parent.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        files = _write_images(dataset, manifest, staged, store)
        manifest = manifest.append_column("file", pa.array(files, pa.string()))
        manifest = manifest.replace_schema_metadata({CONTENT: dataset.digest})
        pq.write_table(manifest, staged / MANIFEST)
        staged.chmod(0o755)
        _take_name(dataset, staged, folder)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _take_name(dataset: DatasetRef, staged: Path, folder: Path) -> None:
    try:
        staged.rename(folder)
    except OSError:
        # Two may write the same version at once; the one that comes second finds it there.
        if not folder.exists():
            raise
        _require_same(dataset, folder)


def _read_labels(dataset: DatasetRef, store: Store) -> dict[str, str | None]:
    """Return the label of each image; of one in several partitions, that of the last that has any."""
    rows = read_rows(dataset, store, ["digest", "label", "partition"]).sort_by("partition")
    labels: dict[str, str | None] = {}
    for digest, label in zip(rows["digest"].to_pylist(), rows["label"].to_pylist(), strict=True):
        labels[digest] = label or labels.get(digest)
    return labels


def _list_columns(dataset: DatasetRef) -> list[str]:
    # What became known later is no part of what was known at a moment.
    later = {"labels", "known_at"} if dataset.as_of else set()
    return [name for name in MANIFEST_COLUMNS if name not in later]


def _write_images(dataset: DatasetRef, manifest: pa.Table, folder: Path, store: Store) -> list[str]:
    """Write the images of the manifest's rows; return the file of each row, relative to the folder."""
    keys = list(zip(manifest["partition"].to_pylist(), manifest["digest"].to_pylist(), strict=True))
    labels = dict(zip(keys, manifest["label"].to_pylist(), strict=True))
    files: dict[tuple[str, str], str] = {}
    columns = ["partition", "digest", "image"]
    version = open_version(dataset, store)
    for batch in version.to_batches(columns=columns, batch_size=BATCH_ROWS, batch_readahead=BATCHES_AHEAD):
        for row in batch.to_pylist():
            key = row["partition"], row["digest"]
            if key in labels:
                files[key] = _write_image(folder, labels[key], row["digest"], row["image"])
    return [files[key] for key in keys]


def _write_image(folder: Path, label: str | None, digest: str, image: bytes) -> str:
    if digest_bytes(image) != digest:
        raise ArtifactNotFoundError(f"the stored bytes of {digest} are damaged; restore the store from a backup")
    ending = ".jpg" if image.startswith(JPEG) else ".png"
    path = folder / _name_folder(label) / f"{digest.removeprefix('sha256:')}{ending}"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(image)
    return path.relative_to(folder).as_posix()


def _name_folder(label: str | None) -> str:
    """Name the folder of a class, whatever its name: `..` must not lead out, nor `_unlabelled` mix with the others."""
    if label is None:
        return UNLABELLED
    name = label.translate(ESCAPED)
    return f"%{name}" if name in {"", ".", "..", UNLABELLED, MANIFEST} else name


def _require_same(dataset: DatasetRef, folder: Path) -> None:
    manifest = folder / MANIFEST
    found = (pq.read_schema(manifest).metadata or {}).get(CONTENT) if manifest.is_file() else None
    if found != dataset.digest.encode():
        raise ContractViolationError(
            f"{folder} exists and does not hold {dataset.digest}; name a folder that is not there yet"
        )
