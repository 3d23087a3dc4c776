import csv
import io
from datetime import date

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from examples.camera import (
    ARRIVAL_SPECIMENS,
    CLEAN_LENS,
    LIVE_SPECIMENS,
    WORN_LENSES,
    deliver_day,
    label_day,
    photograph,
    true_label,
)
from examples.camera.__main__ import app
from include.data.arrivals import find_complete_batch, plan_shards
from include.data.ingestion import ingest_shard

DAY = date(2026, 11, 2)


def pixels(picture):
    with Image.open(io.BytesIO(picture)) as image:
        return np.asarray(image, dtype=np.int16)


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_specimens_are_divided_once():
    assert (len(ARRIVAL_SPECIMENS), len(LIVE_SPECIMENS)) == (1000, 797)
    assert sorted(ARRIVAL_SPECIMENS + LIVE_SPECIMENS) == list(range(1797))
    assert {true_label(specimen) for specimen in LIVE_SPECIMENS} == set("0123456789")


def test_the_same_shot_is_the_same_picture_and_the_next_is_not():
    picture = photograph(5, CLEAN_LENS, 1)
    assert photograph(5, CLEAN_LENS, 1) == picture
    assert pixels(picture).shape == (32, 32, 3)
    difference = np.abs(pixels(photograph(5, CLEAN_LENS, 2)) - pixels(picture))
    assert 0 < difference.mean() < 15


def test_worn_lenses_differ_from_the_clean_one_and_from_each_other():
    assert len(WORN_LENSES) >= 4
    seen = [pixels(photograph(5, lens, 1)) for lens in (CLEAN_LENS, *WORN_LENSES)]
    for index, picture in enumerate(seen):
        assert all(np.abs(picture - other).mean() > 10 for other in seen[:index])


def test_the_pipeline_takes_a_delivery_and_finds_what_was_planted(project, store, ledger, tmp_path):
    deliver_day(tmp_path, DAY, ARRIVAL_SPECIMENS[:20], lens=CLEAN_LENS, labelled=True, corrupt=2, mislabelled=1)
    batch = find_complete_batch(project, str(tmp_path), "2026-11-02")
    reports = [ingest_shard(project, shard, store, ledger) for shard in plan_shards(project, batch)]
    assert sum(report.seen for report in reports) == 22
    assert sum(report.quarantined for report in reports) == 3
    assert sum(report.accepted for report in reports) == 19


def test_labels_that_come_later_are_the_ones_that_come_along(tmp_path):
    for name, labelled in (("now", True), ("later", False)):
        deliver_day(tmp_path / name, DAY, ARRIVAL_SPECIMENS[:5], lens=CLEAN_LENS, labelled=labelled)
    later = tmp_path / "later" / "digits" / "2026-11-02"
    assert not (later / "labels.csv").exists()
    label_day(tmp_path / "later", DAY)
    now = tmp_path / "now" / "digits" / "2026-11-02"
    assert (later / "labels.csv").read_bytes() == (now / "labels.csv").read_bytes()
    rows = read(later / "labels.csv")
    assert [row["label"] for row in rows] == [true_label(specimen) for specimen in ARRIVAL_SPECIMENS[:5]]
    assert {row["known_at"][:10] for row in rows} == {"2026-11-03"}


def test_a_day_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    def break_down(*_):
        raise OSError("the camera broke")

    monkeypatch.setattr("examples.camera.delivery._write_labels", break_down)
    with pytest.raises(OSError, match="broke"):
        deliver_day(tmp_path, DAY, ARRIVAL_SPECIMENS[:3], lens=CLEAN_LENS, labelled=True)
    assert list((tmp_path / "digits").iterdir()) == []


def test_a_delivered_day_stays_as_it_is(tmp_path):
    folder = deliver_day(tmp_path, DAY, ARRIVAL_SPECIMENS[:3], lens=CLEAN_LENS, labelled=False)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    deliver_day(tmp_path, DAY, ARRIVAL_SPECIMENS[:9], lens=WORN_LENSES[0], labelled=True)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_more_shots_than_a_day_holds_are_refused(tmp_path):
    with pytest.raises(ValueError, match="do not fit"):
        deliver_day(tmp_path, DAY, ARRIVAL_SPECIMENS[:2], lens=CLEAN_LENS, labelled=False, corrupt=3)


def test_command_line(tmp_path):
    run = CliRunner().invoke
    assert run(app, ["deliver", "--landing", str(tmp_path), "2026-11-02", "--count", "4"]).exit_code == 0
    assert run(app, ["label", "--landing", str(tmp_path), "2026-11-02"]).exit_code == 0
    assert len(read(tmp_path / "digits" / "2026-11-02" / "labels.csv")) == 4
    assert run(app, ["photograph", str(tmp_path / "live"), "--count", "3", "--worn", "1"]).exit_code == 0
    assert len(list((tmp_path / "live").glob("*.png"))) == 3
    assert run(app, ["deliver", "--landing", str(tmp_path), "tomorrow"]).exit_code == 2
