"""Data on the real Airflow: a folder of one's own, backfills in any order, a released quarantine, lineage events."""

import json

import pytest

from include.cli.workplace import Workplace
from include.ledger.datasets import find_latest_dataset
from include.project import load_project
from include.settings import Settings
from tests.integration.datasets import DAILY, FOLDER, MORE, REASON, read_log, read_page, run_by_hand
from tests.integration.deliveries import BAD_DAY, CLASSES, DAYS, IMAGES, METERS, SHAPES, SHOTS

pytestmark = pytest.mark.integration


def announcements(stack, dag):
    """Return the runs of an ingest DAG that told others of a new dataset version."""
    events = stack.airflow.get("/api/v2/assets/events", params={"source_dag_id": dag}).raise_for_status().json()
    return {event["source_run_id"] for event in events["asset_events"]}


def read_events(stack, dag, run):
    """Return the OpenLineage events of a run by task and kind."""
    events = map(json.loads, (stack.home / "openlineage" / "events.ndjson").read_text().splitlines())
    mine = [event for event in events if run in json.dumps(event["run"])]
    return {(event["job"]["name"].removeprefix(f"{dag}."), event["eventType"]): event for event in mine}


def test_a_folder_of_ones_own_images_becomes_a_dataset_without_code(projects, trained, loop, stack):
    first, training = trained
    report, whole = loop.result(FOLDER, first, "validate_images"), IMAGES * len(CLASSES)
    assert f"{SHAPES}.yaml" in projects
    assert (report["seen"], report["accepted"], report["duplicates"]) == (whole + 2, whole, 1)
    assert report["reasons"] == {"truncated": 1}
    assert report["labels"] == dict.fromkeys(CLASSES, IMAGES)
    assert first in announcements(stack, FOLDER)
    model = loop.result(f"{SHAPES}.train_model", training, "train_candidate")
    assert model["dataset"] == loop.result(FOLDER, first, "publish_dataset")


def test_more_images_make_a_new_version_that_is_announced(arrived, loop, stack):
    first, more, _ = arrived
    before, after = (loop.result(FOLDER, run, "publish_dataset") for run in (first, more))
    assert after["images"] == before["images"] + MORE * len(CLASSES)
    assert after["version"] > before["version"]
    assert more in announcements(stack, FOLDER)


def test_unchanged_images_make_no_version_and_nothing_is_announced(arrived, loop, stack):
    _, more, again = arrived
    assert loop.result(FOLDER, again, "publish_dataset") == loop.result(FOLDER, more, "publish_dataset")
    assert loop.task_states(FOLDER, again)["announce_dataset"] == "skipped"
    assert again not in announcements(stack, FOLDER)


def test_backfills_in_any_order_give_the_content_of_one_day_after_the_other(
    backfilled, stack, ledger, ledger_uri, tmp_path
):
    settings = Settings(landing=str(stack.landing), store=str(tmp_path / "store"), ledger_uri=ledger_uri)
    sequence = Workplace(load_project(stack.projects / f"{METERS}.yaml"), settings)
    expected = [sequence.ingest(day) for day in DAYS][-1]
    found = find_latest_dataset(ledger, METERS)
    assert (found.digest, found.images, found.labelled) == (expected.digest, expected.images, expected.labelled)


def test_a_backfill_and_a_day_that_it_published_announce_nothing(backfilled, loop, stack):
    runs, by_hand = backfilled
    assert {loop.task_states(DAILY, run)["announce_dataset"] for run in [*runs, by_hand]} == {"skipped"}
    assert announcements(stack, DAILY).isdisjoint([*runs, by_hand])


def test_too_many_bad_images_fail_the_day_without_another_try(refused, stack):
    run, attempts = refused
    assert attempts == 1
    assert f"{SHOTS // 3} of {SHOTS + SHOTS // 3}" in read_log(stack, DAILY, run, "validate_images")


def test_a_released_day_passes_and_its_page_says_who_let_it_and_why(released, loop, stack):
    report = loop.result(DAILY, released, "validate_images")
    assert (report["accepted"], report["quarantined"]) == (SHOTS, SHOTS // 3)
    assert loop.task_states(DAILY, released)["publish_dataset"] == "success"
    page = read_page(stack, f"quarantine/{METERS}/{BAD_DAY}")
    assert "admin released this content" in page
    assert REASON in page


def test_openlineage_tells_what_the_tasks_of_an_ingest_read_and_wrote(trained, loop, stack):
    published = loop.result(FOLDER, trained[0], "publish_dataset")
    events = read_events(stack, FOLDER, trained[0])
    for task in ("collect_batch", "ingest", "validate_images", "publish_dataset", "describe_dataset"):
        assert {(task, "START"), (task, "COMPLETE")} <= events.keys()
    (output,) = events["publish_dataset", "COMPLETE"]["outputs"]
    assert output["name"].endswith(f"{SHAPES}/images.lance")
    assert output["facets"]["version"]["datasetVersion"] == str(published["version"])
    assert {"name": "digest", "type": "string"}.items() <= output["facets"]["schema"]["fields"][0].items()
    assert output["outputFacets"]["outputStatistics"]["rowCount"] == published["images"]
    *_, judged = events["validate_images", "COMPLETE"]["inputs"]
    assert judged["inputFacets"]["dataQualityAssertions"]["assertions"]


def test_openlineage_tells_of_a_day_that_failed(refused, stack):
    assert ("validate_images", "FAIL") in read_events(stack, DAILY, refused[0])


def test_maintenance_leaves_the_content_as_it_is(subject_erased, loop, ledger):
    before = find_latest_dataset(ledger, METERS)
    run_by_hand(loop, f"{METERS}.maintain_platform")
    after = find_latest_dataset(ledger, METERS)
    assert (after.digest, after.images) == (before.digest, before.images)
