"""Turn delivered files into staged rows: decode, bring into canonical form, join with what is known of them."""

import tempfile
from pathlib import Path
from typing import Any

from include.contracts import ShardRef, ShardReport
from include.data.arrivals import IMAGES as IMAGE_FOLDER
from include.data.delivery import Delivery, UnfitFileError, read_delivery
from include.data.splits import assign_split
from include.data.staging import ACCEPTED, IMAGES, QUARANTINE, QUARANTINED, RowWriter
from include.errors import ContractViolationError
from include.project import Project
from include.storage import Store, digest_bytes
from include.vision.decoding import RejectedImageError, decode_image, encode_canonical


def ingest_shard(project: Project, shard: ShardRef, landing: Path, store: Store) -> ShardReport:
    """Stage the rows of one shard; the same files and project give the same address.

    A file that cannot be accepted is staged with its reason and its bytes: seen = accepted + duplicates + quarantined.
    A duplicate has the pixels of a file that sorts before it. Memory holds one row group, not the shard.

    :raises DataQualityError: the manifest or the labels cannot be read.
    """
    if shard.batch.project != project.name:
        raise ContractViolationError(f"shard of {shard.batch.project!r} was handed to project {project.name!r}")
    delivery = read_delivery(landing / shard.batch.folder)
    names = delivery.names[shard.index :: shard.count]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with RowWriter(folder / ACCEPTED, IMAGES) as accepted, RowWriter(folder / QUARANTINED, QUARANTINE) as refused:
            duplicates = _sort_files(project, shard, delivery, names, accepted, refused)
        digest = digest_bytes(accepted.digest.digest() + refused.digest.digest())
        address = (
            f"{project.name}/staging/{shard.batch.partition}/"
            f"shard-{shard.index}-of-{shard.count}-{digest.removeprefix('sha256:')[:16]}"
        )
        store.publish_folder(folder, address)
    return ShardReport(
        shard=shard,
        address=address,
        digest=digest,
        seen=len(names),
        accepted=accepted.count,
        duplicates=duplicates,
        quarantined=refused.count,
    )


def _sort_files(
    project: Project,
    shard: ShardRef,
    delivery: Delivery,
    names: tuple[str, ...],
    accepted: RowWriter,
    refused: RowWriter,
) -> int:
    """Write each file to where it belongs; return the number of duplicates, which belong nowhere."""
    known: set[str] = set()
    duplicates = 0
    for name in names:
        place = {"source": _escape(f"{shard.batch.folder}/{IMAGE_FOLDER}/{name}")}
        original: bytes | None = None
        try:
            original = delivery.read_image(name, project.data.max_bytes)
            row = place | {"partition": shard.batch.partition} | _describe(project, delivery, name, original)
        except (RejectedImageError, UnfitFileError) as error:
            digest = digest_bytes(original) if original is not None else None
            why = {"reason": error.reason, "detail": _escape(str(error))}
            refused.add(place | why | {"digest": digest, "original": original})
            continue
        if row["digest"] in known:
            duplicates += 1
        else:
            known.add(row["digest"])
            accepted.add(row)
    return duplicates


def _describe(project: Project, delivery: Delivery, name: str, original: bytes) -> dict[str, Any]:
    shot, label = delivery.shots.get(name), delivery.labels.get(name)
    if shot is None:
        raise UnfitFileError("missing_from_manifest", "delivered, but not listed")
    data = project.data
    pixels = decode_image(original, formats=data.formats, max_bytes=data.max_bytes, max_pixels=data.max_pixels)
    if label and label.label not in project.classes:
        raise UnfitFileError("unknown_class", f"label {label.label!r} is no class of {project.name}")
    image = encode_canonical(pixels)
    return {
        "digest": digest_bytes(image),
        "image": image,
        "group": shot.group,
        "label": label.label if label else None,
        "split": assign_split(shot.group, data, project.name),
        "captured_at": shot.captured_at,
        "known_at": label.known_at if label else None,
        "width": pixels.shape[1],
        "height": pixels.shape[0],
    }


def _escape(text: str) -> str:
    """Make a file name that is no Unicode storable; others stay as they are."""
    return text.encode("utf-8", "backslashreplace").decode()
