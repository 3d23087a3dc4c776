"""Score a partition of a dataset with a release, shard by shard, and publish the answers in one step."""

import io
import json
import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import numpy as np
import onnxruntime
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from include.contracts import BatchReport, BatchShardRef, DatasetRef, ReleaseRef
from include.deployment.batch_page import render_batch
from include.errors import ArtifactNotFoundError, ContractViolationError, DataQualityError
from include.ledger import Ledger
from include.ledger.datasets import record_read
from include.ledger.erasures import list_forgotten
from include.ledger.plans import list_plans
from include.storage import Store, digest_bytes
from include.storage.parquet import read_table
from include.vision.certificates import require_certificate
from include.vision.images import find_partition
from include.vision.releases import Bundle, open_graph, open_release, run_graph_with_embedding
from include.vision.stored_images import Pixels, decode_stored

ANSWERS = "predictions.parquet"
LINEAGE = "lineage.json"
BATCH = 64
# More than anybody keeps.
REVISIONS = 1_000_000
SCHEMA = pa.schema(
    [
        ("digest", pa.string()),  # of the stored image
        ("predicted", pa.string()),
        ("confidence", pa.float32()),
        ("probabilities", pa.list_(pa.float32())),  # in the order of the release's classes
        ("embedding", pa.list_(pa.float32())),
    ]
)


def find_champion(ledger: Ledger, project: str, moment: datetime) -> ReleaseRef:
    """Return the release that answered for a project at a moment, by the history of its plans.

    :param moment: Aware time.
    :raises ArtifactNotFoundError: nothing answered then.
    """
    plans = (one.plan for one in list_plans(ledger, project, REVISIONS) if one.at <= moment)
    newest = next(plans, None)
    if newest is None:
        raise ArtifactNotFoundError(
            f"nothing answered for {project} at {moment.isoformat()}; name a later moment, or deploy a model first"
        )
    return newest.champion


def score_partition(
    dataset: DatasetRef, partition: str, release: ReleaseRef, store: Store, ledger: Ledger, shards: int = 1
) -> BatchReport:
    """Score and publish a partition; what is published already is found again.

    :raises DataQualityError: the partition holds no image.
    :raises NotCertifiedError: the release has no certificate that holds.
    :raises ContractViolationError: the release is damaged, or answers with what is no number.
    """
    planned = [
        BatchShardRef(dataset=dataset, partition=partition, release=release, index=index, count=shards)
        for index in range(shards)
    ]
    for shard in planned:
        score_shard(shard, store)
    return publish_batch(planned, store, ledger)


def score_shard(shard: BatchShardRef, store: Store) -> str:
    """Answer the images of a shard and keep the answers; return their address. A second attempt finds the first's.

    :raises DataQualityError: the partition holds no image.
    :raises NotCertifiedError: the release has no certificate that holds.
    :raises ContractViolationError: the release is damaged, or answers with what is no number.
    """
    if store.exists(locate_shard(shard)) or store.exists(_locate(shard)):
        return locate_shard(shard)
    bundle = open_release(store, shard.release)
    require_certificate(shard.release, bundle, store)
    version, rows, digests = find_partition(shard.dataset, store, shard.partition)
    if not digests:
        raise DataQualityError(
            f"partition {shard.partition} of dataset version {shard.dataset.version} holds no image; publish it first"
        )
    rows, digests = rows[shard.index :: shard.count], digests[shard.index :: shard.count]
    graph = open_graph(bundle.graph)

    def answer(start: int) -> pa.Table:
        stored = version.take(rows[start : start + BATCH], columns=["image"])["image"].to_pylist()
        return _answer(graph, bundle, [decode_stored(file) for file in stored], digests[start : start + BATCH])

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
        answers = pa.concat_tables([SCHEMA.empty_table(), *threads.map(answer, range(0, len(rows), BATCH))])
    store.write(locate_shard(shard), _write(answers))
    return locate_shard(shard)


def publish_batch(shards: Sequence[BatchShardRef], store: Store, ledger: Ledger) -> BatchReport:
    """Put the answers of all shards of a partition together, in the order of digests, and publish them at once.

    :raises ArtifactNotFoundError: a shard was not scored.
    :raises DataQualityError: one of the images was erased meanwhile.
    """
    address = _locate(shards[0])
    if not store.exists(address):
        try:
            files = [store.read(locate_shard(one)) for one in shards]
            answers = pa.concat_tables([pq.read_table(pa.BufferReader(file)) for file in files])
            _publish(shards[0], answers.sort_by("digest"), store)
        except ArtifactNotFoundError:
            # Another attempt may have published them meanwhile, and cleared the shards away.
            if not store.exists(address):
                raise
    report = BatchReport.model_validate_json(store.read(f"{address}/{LINEAGE}"))
    # After publishing: an erasure refuses its images first, then removes what is published.
    _require_unerased(report, shards, store, ledger)
    record_read(ledger, report.dataset, "score", f"release {report.release}")
    for shard in shards:
        store.remove(locate_shard(shard))
    return report


def locate_shard(shard: BatchShardRef) -> str:
    """Return the address of a shard's answers, which its inputs name."""
    return f"{_locate(shard)}.shards/{shard.index:04d}-of-{shard.count:04d}.parquet"


def _require_unerased(report: BatchReport, shards: Sequence[BatchShardRef], store: Store, ledger: Ledger) -> None:
    forgotten = list_forgotten(ledger, report.dataset.project)
    answers = read_table(store, f"{report.address}/{ANSWERS}", ["digest"])
    if forgotten.isdisjoint(answers["digest"].to_pylist()):
        return
    for address in (report.address, *map(locate_shard, shards)):
        store.remove(address)
    raise DataQualityError(
        f"images of {report.partition} in dataset version {report.dataset.version} were erased while they were "
        "answered; the answers are removed. Score a newer version"
    )


def _publish(shard: BatchShardRef, answers: pa.Table, store: Store) -> None:
    address, content = _locate(shard), _write(answers)
    report = BatchReport(
        dataset=shard.dataset,
        partition=shard.partition,
        release=shard.release.digest,
        model_version=shard.release.model.version,
        address=address,
        page=f"{shard.dataset.project}/reports/batch_predictions/{address.split('/', 2)[2]}/index.html",
        digest=digest_bytes(content),
        images=answers.num_rows,
    )
    store.write(report.page, render_batch(report, answers).encode())
    with tempfile.TemporaryDirectory(prefix="windhover-batch-") as folder:
        (Path(folder) / ANSWERS).write_bytes(content)
        (Path(folder) / LINEAGE).write_text(report.model_dump_json(indent=2))
        store.publish_folder(Path(folder), report.address)


def _locate(shard: BatchShardRef) -> str:
    # Beside the prediction log, not in it: its readers take whatever lies there for answered requests.
    inputs = json.dumps([shard.dataset.digest, shard.partition, shard.release.digest]).encode()
    key = digest_bytes(inputs).removeprefix("sha256:")
    return f"{shard.dataset.project}/batch_predictions/{shard.partition}/{key}"


def _answer(
    graph: onnxruntime.InferenceSession, bundle: Bundle, images: Sequence[Pixels], digests: list[str]
) -> pa.Table:
    """Answer images of any sizes, those of one size together, as a table in their order."""
    by_size: dict[tuple[int, ...], list[int]] = {}
    for position, image in enumerate(images):
        by_size.setdefault(image.shape, []).append(position)
    parts = [_run(graph, bundle, [images[i] for i in same], [digests[i] for i in same]) for same in by_size.values()]
    order = np.argsort([i for same in by_size.values() for i in same])
    return pa.concat_tables(parts).take(pa.array(order))


def _run(graph: onnxruntime.InferenceSession, bundle: Bundle, images: Sequence[Pixels], digests: list[str]) -> pa.Table:
    probabilities, embedding = run_graph_with_embedding(graph, np.stack(images))
    if not np.isfinite(probabilities).all():
        raise ContractViolationError(
            f"release {bundle.digest} answers one of the images {digests[0]} to {digests[-1]} with a probability that "
            "is no number; nothing is published. Score with another release"
        )
    classes = pa.array(bundle.manifest.classes)
    columns = {
        "digest": pa.array(digests),
        "predicted": pc.take(classes, pa.array(probabilities.argmax(axis=1))),
        "confidence": pa.array(probabilities.max(axis=1)),
        "probabilities": _to_lists(probabilities),
        "embedding": pa.nulls(len(images), SCHEMA.field("embedding").type)
        if embedding is None
        else _to_lists(embedding),
    }
    return pa.table(columns, SCHEMA)


def _to_lists(rows: NDArray[np.float32]) -> pa.Array:
    offsets = np.arange(0, rows.size + 1, rows.shape[1], dtype=np.int32)
    return pa.ListArray.from_arrays(offsets, np.ascontiguousarray(rows).ravel())


def _write(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    # Numbers that are all different make dictionaries slow, and the file larger.
    pq.write_table(table, buffer, use_dictionary=["predicted"])
    return buffer.getvalue()
