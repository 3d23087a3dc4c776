"""Join decoded files with what the delivery says of them, column by column."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pyarrow as pa

from include.data.chunks import Decoded, Refused
from include.data.delivery import Delivery, Label
from include.data.splits import assign_split
from include.data.staging import BYTES_SCHEMA, MANIFEST_SCHEMA, QUARANTINE_SCHEMA
from include.project import Project
from include.vision.schema import IMAGES


@dataclass(frozen=True)
class Tabulator:
    """Makes rows of a shard's files.

    :param names: Files of the shard.
    :param places: Of these files in the delivery.
    """

    project: Project
    delivery: Delivery
    partition: str
    names: Sequence[str]
    places: range

    def tabulate(self, decoded: Decoded) -> pa.Table:
        """Return the sound files as rows in schema `IMAGES`, with their place in the delivery."""
        names = [self.names[position] for position in decoded.positions]
        shots = [self.delivery.shots[name] for name in names]
        histories = [self.delivery.labels.get(name, ()) for name in names]
        latest = [history[-1] if history else None for history in histories]
        data, project = self.project.data, self.project.name
        prints = decoded.fingerprints
        columns = {
            "digest": decoded.digests,
            "image": decoded.images,
            "original": decoded.originals,
            "partition": [self.partition] * len(names),
            "group": [shot.group for shot in shots],
            "subject": [shot.subject for shot in shots],
            "label": [label and label.label for label in latest],
            "known_at": [label and label.known_at for label in latest],
            "labels": _list_labels(histories),
            "split": [assign_split(shot.group, data, project) for shot in shots],
            "source": [self.name_source(name) for name in names],
            "observed_at": [shot.observed_at for shot in shots],
            "width": decoded.widths,
            "height": decoded.heights,
            "phash": prints.phash,
            "embedding": _view_rows(prints.embedding),
            "brightness": prints.brightness,
            "contrast": prints.contrast,
            "saturation": prints.saturation,
            "sharpness": prints.sharpness,
            "place": [self.places[position] for position in decoded.positions],
        }
        return pa.table(columns, IMAGES.append(MANIFEST_SCHEMA.field("place")))

    def tabulate_refused(self, refused: Sequence[Refused]) -> pa.Table:
        """Return refused files as rows in the columns of the quarantine, and `image` (null) and `original`."""
        columns = {
            "source": [self.name_source(self.names[one.position]) for one in refused],
            "digest": [one.digest for one in refused],
            "reason": [one.reason for one in refused],
            "detail": [escape(one.detail) for one in refused],
            "subject": [self._find_subject(one) for one in refused],
            "image": [None] * len(refused),
            "original": [one.original for one in refused],
            "place": [self.places[one.position] for one in refused],
        }
        fields = [
            QUARANTINE_SCHEMA.field(name) if name not in BYTES_SCHEMA.names else IMAGES.field(name) for name in columns
        ]
        return pa.table(columns, pa.schema(fields))

    def _find_subject(self, refused: Refused) -> str | None:
        shot = self.delivery.shots.get(self.names[refused.position])
        # Of what was erased, not even the key is kept.
        return shot.subject if shot and refused.reason != "forgotten" else None

    def name_source(self, name: str) -> str:
        """Say where a file came from."""
        return escape(self.delivery.source_of(name))


def escape(text: str) -> str:
    """Make a text that is no Unicode storable; others stay as they are."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _list_labels(histories: Sequence[Sequence[Label]]) -> pa.ListArray:
    entries = IMAGES.field("labels").type.value_type
    flat = list(chain.from_iterable(histories))
    values = [[entry.label for entry in flat], [entry.known_at for entry in flat]]
    arrays = [pa.array(value, field.type) for value, field in zip(values, entries, strict=True)]
    offsets = np.cumsum([0, *map(len, histories)], dtype=np.int32)
    return pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays(arrays, fields=list(entries)))


def _view_rows(embedding: np.ndarray) -> pa.FixedSizeBinaryArray:
    field = IMAGES.field("embedding")
    return pa.FixedSizeBinaryArray.from_buffers(field.type, len(embedding), [None, pa.py_buffer(embedding)])
