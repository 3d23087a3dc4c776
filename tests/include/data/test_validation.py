import re

import pyarrow.parquet as pq
import pytest

from include.data.checks import Check
from include.data.quality import require_quality
from include.data.staging import read_manifest, read_quarantine
from include.data.validation import validate_partition
from include.errors import ContractViolationError, DataQualityError, ProjectFileError
from include.ledger.quality import list_validations, record_release
from include.vision.decoding import encode_canonical

FOLDER = "digits/2026-11-02/images"


def with_data(project, **changes):
    return project.model_copy(update={"data": project.data.model_copy(update=changes)})


def failures(report, on_failure="stop"):
    broken = [one for one in report.expectations if not one.success and one.on_failure == on_failure]
    return {(one.expectation, one.column): one.rows for one in broken}


def quarantined(report, store):
    rows = read_quarantine(store, report.address).to_pylist()
    return {row["source"].rsplit("/", 1)[1]: (row["reason"], row["detail"]) for row in rows}


def test_a_sound_partition_passes_and_is_recorded(project, store, ledger, make_day):
    report = make_day(images=40).close().validate(project, store)
    assert report.success
    assert failures(report) == failures(report, "quarantine") == {}
    assert (report.seen, report.accepted, report.duplicates, report.quarantined) == (40, 40, 0, 0)
    assert sum(report.labels.values()) == sum(report.histograms["brightness"]) == 40
    assert require_quality(project, report, ledger) is None
    assert list_validations(ledger, "digits", passed=True) == [report]


def test_counts_add_up_across_shards(project, store, make_day):
    day = make_day(images=11)
    sound = (day.folder / "images" / "shot-0004.png").read_bytes()
    day.add("again-1.png", sound).add("again-2.png", sound).add("text.png", b"text").add("gone.png", None)
    report = day.close().validate(project, store)
    assert (report.seen, report.accepted, report.duplicates, report.quarantined) == (15, 11, 2, 2)
    assert report.reasons == {"missing_file": 1, "not_an_image": 1}
    kept = {source.rsplit("/", 1)[1] for source in read_manifest(store, report.address)["source"].to_pylist()}
    assert "again-1.png" in kept
    assert not {"again-2.png", "shot-0004.png"} & kept


def test_the_number_of_shards_changes_nothing_but_the_address(project, store, make_day):
    day = make_day(images=11)
    sound = (day.folder / "images" / "shot-0004.png").read_bytes()
    day.add("again.png", sound).add("text.png", b"text").close()
    reports = [day.validate(with_data(project, shards=shards), store) for shards in (1, 2, 5)]
    assert len({report.model_copy(update={"address": ""}).model_dump_json() for report in reports}) == 1


def test_running_again_writes_nothing_new(project, store, ledger, make_day):
    day = make_day(images=6).add("text.png", b"text").close()
    first = day.validate(project, store)
    before = {address: store.read(address) for address in store.list("digits")}
    assert day.validate(project, store) == first
    assert {address: store.read(address) for address in store.list("digits")} == before


def test_rows_that_break_an_expectation_are_set_aside_by_name(project, store, ledger, make_day, digit_images):
    day = make_day(images=40)
    day.add("tiny.png", encode_canonical(digit_images[60][0][:4, :4]))
    day.manifest[0] = (day.manifest[0][0], "2026-11-09T08:00:00Z", "specimen-1")
    day.labels[1] = (*day.labels[1][:2], "2026-10-01T00:00:00Z")
    report = day.close().validate(project, store)
    put_aside = quarantined(report, store)
    assert {name: reason for name, (reason, _) in put_aside.items()} == dict.fromkeys(
        ("tiny.png", "shot-0000.png", "shot-0001.png"), "failed_expectation"
    )
    assert "width is 4" in put_aside["tiny.png"][1]
    assert "observed on the partition's day" in put_aside["shot-0000.png"][1]
    assert (report.accepted, report.quarantined, report.reasons) == (38, 3, {"failed_expectation": 3})
    assert failures(report, "quarantine")["expect_column_values_to_be_between", "width"][0].endswith(
        f"{FOLDER}/tiny.png"
    )
    assert report.success
    assert require_quality(project, report, ledger) is None


def test_identical_images_under_two_labels_are_a_conflict(project, store, make_day):
    day = make_day(images=40)
    sound = (day.folder / "images" / "shot-0004.png").read_bytes()
    day.add("z.png", sound, label="0" if day.labels[4][1] != "0" else "1").close()
    report = day.validate(project, store)
    reason, detail = quarantined(report, store)["shot-0004.png"]
    assert reason == "label_conflict"
    assert "z.png" in detail
    assert (report.seen, report.accepted, report.duplicates, report.quarantined) == (41, 39, 1, 1)


def test_too_much_quarantine_stops_until_it_is_released(project, store, ledger, make_day):
    report = make_day(images=8).add("text.png", b"text").close().validate(project, store)
    assert report.success
    assert list_validations(ledger, "digits", passed=False) == [report]
    with pytest.raises(DataQualityError, match=r"1 of 9 files .*not_an_image.* 10% of data.max_quarantined"):
        require_quality(project, report, ledger)
    record_release(ledger, "digits", report.partition, report.address, "mira", "a stray note, seen")
    assert require_quality(project, report, ledger) is None


def test_nothing_accepted_is_not_a_pass(project, store, make_day):
    report = make_day(images=0).add("text.png", b"text").close().validate(project, store)
    assert ("expect_table_row_count_to_be_between", None) in failures(report)
    assert store.exists(report.data_docs)


def test_a_partition_is_held_against_those_before_it_only(project, store, ledger, make_day):
    for day in range(2, 5):
        make_day(f"2026-11-0{day}", first=40 * (day - 2), images=40).close().validate(project, store)
    late = make_day("2026-11-05", first=120, images=10).close()
    report = late.validate(project, store)
    assert ("expect_table_row_count_to_be_between", None) in failures(report, "warn")
    assert all(one.checked for one in report.expectations)
    make_day("2026-11-09", first=160, images=200).close().validate(project, store)
    assert late.validate(project, store) == report
    early = make_day("2026-11-01", first=130, images=10).close().validate(project, store)
    assert ("expect_table_row_count_to_be_between", None) not in failures(early, "warn")
    assert [one for one in early.expectations if not one.checked]


def test_the_suite_of_the_project_decides(project, store, ledger, make_day, monkeypatch, tmp_path):
    monkeypatch.setenv("WINDHOVER_PROJECTS", str(tmp_path))
    (tmp_path / "expectations").mkdir()
    path = tmp_path / "expectations" / "digits.yaml"
    entry = Check(expectation="expect_column_values_to_be_between", kwargs={"column": "width", "min_value": 99})
    path.write_text(f"[{entry.model_dump_json()}]")
    report = make_day(images=4).close().validate(project, store)
    assert [one.expectation for one in report.expectations] == [entry.expectation]
    with pytest.raises(DataQualityError, match=r"expect_column_values_to_be_between\(width\)"):
        require_quality(project, report, ledger)
    path.write_text("- expectation: expect_nothing")
    with pytest.raises(ProjectFileError, match="unknown expectation"):
        make_day(images=4).close().validate(project, store)


def test_the_page_names_hostile_files_and_runs_nothing(project, store, make_day, digit_images):
    hostile = "<meta http-equiv=refresh><img src=x onerror=go()>.png"
    day = make_day(images=12).add(f"1{hostile}", b"text")
    day.add(f"2{hostile}", encode_canonical(digit_images[60][0]))
    day.manifest[-1] = (day.manifest[-1][0], "2026-11-09T08:00:00Z", "specimen-1")
    page = store.read(day.close().validate(project, store).data_docs).decode()
    assert re.findall(r"<script|<link|<img|<meta http-equiv=refresh|(?:href|src)=[\"'](?!#)", page) == []
    assert page.count("&lt;img src=x onerror") >= 2
    assert "not_an_image" in page


def test_the_quarantine_is_kept_where_people_look_for_it(project, store, make_day):
    def read():
        with store.open("digits/quarantine/2026-11-02.parquet") as file:
            return pq.read_table(file)["reason"].to_pylist()

    make_day(images=12).add("text.png", b"text").close().validate(project, store)
    assert read() == ["not_an_image"]
    make_day(images=12).close().validate(project, store)
    assert read() == []


@pytest.mark.parametrize("choose", [lambda r: [], lambda r: r[:1], lambda r: [r[0], r[0]], lambda r: [*r, r[1]]])
def test_only_the_complete_shards_of_a_delivery_are_validated(project, store, ledger, make_day, choose):
    reports = make_day(images=6).close().ingest(project, store)
    with pytest.raises(ContractViolationError, match="each shard of one delivery once"):
        validate_partition(project, choose(reports), store, ledger)
    assert list_validations(ledger, "digits") == []
