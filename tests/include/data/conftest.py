"""A day of real digits in a drop folder, built file by file so that tests can spoil any of it."""

import csv
import shutil

import lance
import pyarrow as pa
import pytest

from include.data.arrivals import find_complete_batch, plan_shards
from include.data.dataset import create_dataset, hold_dataset, locate_dataset, record_version
from include.data.ingestion import ingest_shard
from include.data.validation import validate_partition
from include.vision.decoding import encode_canonical
from include.vision.schema import IMAGES

DAY = "2026-11-02"


class Day:
    """One delivery in the drop folder of the digits project."""

    def __init__(self, landing, ledger, day=DAY):
        self.landing = landing
        self.ledger = ledger
        self.day = day
        self.folder = landing / "digits" / day
        (self.folder / "images").mkdir(parents=True)
        self.manifest = []
        self.labels = []

    def add(self, name, data, label=None, group=None):
        if data is not None:
            path = self.folder / "images" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        self.manifest.append((name, f"{self.day}T08:00:00Z", group or f"specimen-{name}"))
        if label:
            self.labels.append((name, label, f"{self.day}T20:00:00Z"))
        return self

    def close(self):
        self._write("manifest.csv", ("file", "observed_at", "group"), self.manifest)
        if self.labels:
            self._write("labels.csv", ("file", "label", "known_at"), self.labels)
        (self.folder / "_SUCCESS").touch()
        return self

    def _write(self, name, header, rows):
        with (self.folder / name).open("w", newline="") as file:
            csv.writer(file).writerows([header, *rows])

    def ingest(self, project, store):
        batch = find_complete_batch(project, str(self.landing), self.day)
        return [ingest_shard(project, shard, store, self.ledger) for shard in plan_shards(project, batch)]

    def validate(self, project, store):
        return validate_partition(project, self.ingest(project, store), store, self.ledger)


@pytest.fixture
def landing(tmp_path):
    folder = tmp_path / "landing"
    folder.mkdir()
    return folder


@pytest.fixture
def make_day(landing, ledger, digit_images):
    """Deliver `images` digits, beginning with the one of index `first`, all labelled."""

    def make(day=DAY, first=0, images=12):
        shutil.rmtree(landing / "digits" / day, ignore_errors=True)
        delivery = Day(landing, ledger, day)
        for index in range(first, first + images):
            pixels, label = digit_images[index]
            delivery.add(f"shot-{index:04d}.png", encode_canonical(pixels), label)
        return delivery

    return make


@pytest.fixture
def publish_rows(project, any_store, ledger):
    """Append rows as one version of the dataset."""

    def write(rows):
        with hold_dataset(project, ledger, "test") as lease:
            create_dataset(project, any_store)
            table = pa.Table.from_pylist(rows, schema=IMAGES)
            dataset = lance.write_dataset(table, any_store.uri(locate_dataset(project)), mode="append")
            return record_version(project, dataset, any_store, ledger, lease)

    return write
