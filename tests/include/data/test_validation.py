import re

import pyarrow.parquet as pq
import pytest

from include.data.quality import require_quality
from include.data.validation import validate_partition
from include.errors import ContractViolationError, DataQualityError
from include.vision.decoding import encode_canonical


def resharded(project, shards):
    return project.model_copy(update={"data": project.data.model_copy(update={"shards": shards})})


def failures(report):
    return {(one.expectation, one.column): one.rows for one in report.expectations if not one.success}


def test_a_sound_partition_passes(project, store, make_day):
    report = make_day(images=12).close().validate(project, store)
    assert report.success
    assert (report.seen, report.accepted, report.duplicates, report.quarantined) == (12, 12, 0, 0)
    assert len(report.expectations) == 12
    assert require_quality(project, report) is None


def test_counts_add_up_across_shards(project, store, make_day):
    day = make_day(images=11)
    sound = (day.folder / "images" / "shot-0004.png").read_bytes()
    day.add("again-1.png", sound).add("again-2.png", sound).add("text.png", b"text").add("gone.png", None)
    report = day.close().validate(project, store)
    assert (report.seen, report.accepted, report.duplicates, report.quarantined) == (15, 11, 2, 2)
    assert report.reasons == {"missing_file": 1, "not_an_image": 1}
    staged = pq.read_table(store.path(f"{report.address}/accepted.parquet"))
    kept = {row["source"].rsplit("/", 1)[1] for row in staged.select(["source"]).to_pylist()}
    assert "again-1.png" in kept
    assert not {"again-2.png", "shot-0004.png"} & kept


def test_the_number_of_shards_changes_nothing(project, store, make_day):
    day = make_day(images=11)
    sound = (day.folder / "images" / "shot-0004.png").read_bytes()
    day.add("again.png", sound).add("text.png", b"text").close()
    reports = [day.validate(resharded(project, shards), store) for shards in (1, 2, 5)]
    assert reports[0] == reports[1] == reports[2]


def test_running_again_writes_nothing_new(project, store, make_day):
    day = make_day(images=6).add("text.png", b"text").close()
    first = day.validate(project, store)
    before = {address: store.read(address) for address in store.list("digits")}
    assert day.validate(project, store) == first
    assert {address: store.read(address) for address in store.list("digits")} == before


def test_the_quarantine_is_kept_where_people_look_for_it(project, store, make_day):
    make_day(images=12).add("text.png", b"text").close().validate(project, store)
    rows = pq.read_table(store.path("digits/quarantine/2026-11-02.parquet")).to_pylist()
    assert [(row["reason"], row["original"]) for row in rows] == [("not_an_image", b"text")]

    make_day(images=12).close().validate(project, store)
    assert pq.read_table(store.path("digits/quarantine/2026-11-02.parquet")).num_rows == 0


def test_a_failed_expectation_names_its_rows(project, store, make_day, digit_images):
    day = make_day(images=12)
    day.add("tiny.png", encode_canonical(digit_images[60][0][:4, :4]))
    day.manifest[0] = (day.manifest[0][0], "2026-11-09T08:00:00Z", "specimen-1")
    day.labels[1] = (*day.labels[1][:2], "2026-10-01T00:00:00Z")
    report = day.close().validate(project, store)
    folder = "digits/2026-11-02/images"
    assert failures(report) == {
        ("expect_column_values_to_be_between", "width"): (f"{folder}/tiny.png",),
        ("expect_column_values_to_be_between", "height"): (f"{folder}/tiny.png",),
        ("expect_column_values_to_be_between", "captured_at"): (f"{folder}/shot-0000.png",),
        ("expect_column_pair_values_a_to_be_greater_than_b", "known_at"): (
            f"{folder}/shot-0000.png",
            f"{folder}/shot-0001.png",
        ),
    }
    assert store.exists(report.data_docs)
    with pytest.raises(DataQualityError, match=r"width.*tiny\.png.*data_docs"):
        require_quality(project, report)


def test_too_much_quarantine_fails_the_partition(project, store, make_day):
    day = make_day(images=8)
    report = day.add("text.png", b"text").close().validate(project, store)
    assert report.success
    with pytest.raises(DataQualityError, match=r"1 of 9 files .*not_an_image.* 10% of data.max_quarantined"):
        require_quality(project, report)


def test_nothing_accepted_is_not_a_pass(project, store, make_day):
    report = make_day(images=0).add("text.png", b"text").close().validate(project, store)
    assert failures(report) == {("expect_table_row_count_to_be_between", None): ()}
    assert store.exists(report.data_docs)


def test_data_docs_need_no_network_and_run_nothing(project, store, make_day, digit_images):
    hostile = "<meta http-equiv=refresh><img src=x onerror=go()>.png"
    day = make_day(images=12).add(f"1{hostile}", b"text")
    day.add(f"2{hostile}", encode_canonical(digit_images[60][0]))
    day.manifest[-1] = (day.manifest[-1][0], "2026-11-09T08:00:00Z", "specimen-1")
    report = day.close().validate(project, store)
    page = store.read(report.data_docs).decode()
    assert (
        re.findall(r"<[^>]*\b(?:src|href)=[\"']?[^#\"'>][^>]*>|<script|<link|<img|<meta http-equiv=refresh", page) == []
    )
    assert "default-src 'none'" in page
    assert page.count("&lt;img src=x onerror") >= 2
    assert "values must be unique" in page
    assert "not_an_image" in page


@pytest.mark.parametrize("choose", [lambda r: [], lambda r: r[:1], lambda r: [r[0], r[0]], lambda r: [*r, r[1]]])
def test_only_the_complete_shards_of_a_delivery_are_merged(project, store, make_day, choose):
    reports = make_day(images=6).close().ingest(project, store)
    with pytest.raises(ContractViolationError, match="each shard of one delivery once"):
        validate_partition(project, choose(reports), store)


def test_shards_of_two_days_do_not_mix(project, store, make_day):
    monday = make_day("2026-11-02", 0, 6).close().ingest(project, store)
    tuesday = make_day("2026-11-03", 6, 6).close().ingest(project, store)
    with pytest.raises(ContractViolationError, match="of 2 deliveries"):
        validate_partition(project, [monday[0], tuesday[1]], store)
