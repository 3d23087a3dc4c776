from datetime import UTC, datetime, timedelta

import pytest
from airflow.sdk import AssetAny, PartitionedAssetTimetable
from airflow.sdk.api.datamodels._generated import AssetEventDagRunReference
from airflow.sdk.execution_time.comms import AssetEventDagRunReferenceResult
from airflow.sdk.execution_time.context import InletEventsAccessors, OutletEventAccessors, TriggeringAssetEventsAccessor

from tests.plugins.task_runs import NOW, make_event, make_run, play
from windhover.assets import ProjectAssets, announce, read_announcement, triggering_events, when_updated

ASSETS = ProjectAssets("digits")
MODEL, DATASET = ASSETS.candidate_model, ASSETS.curated_dataset


def make_context(*events, key=None, inlets=(MODEL,)):
    references = [AssetEventDagRunReference.model_validate(event) for event in events]
    return {
        "dag_run": make_run("digits.any", partition_key=key),
        "outlet_events": OutletEventAccessors(),
        "inlet_events": InletEventsAccessors(list(inlets)),
        "triggering_asset_events": TriggeringAssetEventsAccessor.build(
            AssetEventDagRunReferenceResult.from_asset_event_dag_run_reference(reference) for reference in references
        ),
    }


def test_assets_of_two_projects_differ_in_name_and_address():
    ours, theirs = ProjectAssets("digits"), ProjectAssets("leaves")
    names = ("curated_dataset", "retraining_request", "candidate_model", "certified_model", "serving_model")
    names += ("batch_predictions",)
    for name in names:
        assert (getattr(ours, name).name, getattr(ours, name).uri) == (f"digits.{name}", f"windhover://digits/{name}")
        assert getattr(theirs, name).name == f"leaves.{name}"
    assert len({getattr(ours, name).uri for name in names}) == len(names)


def test_any_of_the_assets_starts_a_run_for_its_day():
    timetable = when_updated(DATASET, ASSETS.retraining_request)
    assert isinstance(timetable, PartitionedAssetTimetable)
    assert isinstance(timetable.asset_condition, AssetAny)
    assert [asset.name for asset in timetable.asset_condition.objects] == [
        "digits.curated_dataset",
        "digits.retraining_request",
    ]


def test_an_announcement_carries_the_reference_and_the_runs_day():
    context = make_context(key="2026-11-20")
    announce({"version": 7}, [MODEL, DATASET], context)
    for asset in (MODEL, DATASET):
        event = context["outlet_events"][asset]
        assert (event.extra, event.partition_keys) == ({"version": 7}, {"2026-11-20"})


def test_the_day_of_an_announcement_may_be_another_than_the_runs():
    context = make_context(key="2026-11-20")
    announce({"version": 7}, [MODEL], context, "2026-01-31")
    assert context["outlet_events"][MODEL].partition_keys == {"2026-01-31"}


@pytest.mark.parametrize("key", [None, ""])
def test_without_a_day_it_is_today_in_utc(key):
    context, before = make_context(key=key), datetime.now(UTC)
    announce({}, [MODEL], context)
    today = {f"{moment:%Y-%m-%d}" for moment in (before, datetime.now(UTC))}
    assert context["outlet_events"][MODEL].partition_keys <= today
    assert context["outlet_events"][MODEL].partition_keys


def test_the_newest_triggering_event_wins_in_whatever_order_they_come():
    events = [make_event(MODEL, {"age": age}, NOW - timedelta(minutes=age)) for age in (5, 0, 9)]
    context = make_context(*events)
    assert [event.extra["age"] for event in triggering_events(MODEL, context)] == [9, 5, 0]
    assert read_announcement(MODEL, context) == {"age": 0}


def test_what_airflow_adds_to_an_event_made_by_hand_is_no_part_of_the_reference():
    context = make_context(make_event(MODEL, {"age": 1, "from_rest_api": True}))
    assert read_announcement(MODEL, context) == {"age": 1}


def test_events_of_other_assets_are_not_ours(api_server):
    context = make_context(make_event(DATASET, {"version": 1}))
    assert triggering_events(MODEL, context) == []
    with play(api_server):
        assert read_announcement(MODEL, context) is None


def test_by_hand_the_newest_ever_announced_is_read(api_server):
    api_server.events[MODEL.name] += [{"version": 1}, {"version": 2}]
    with play(api_server):
        assert read_announcement(MODEL, make_context()) == {"version": 2}
    assert api_server.messages[0].limit == 1
