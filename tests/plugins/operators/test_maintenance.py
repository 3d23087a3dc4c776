from datetime import UTC, datetime, timedelta

import pytest

from include.contracts import DatasetRef, ExplanationDriftReport
from include.contracts.retirement import RetirementReport
from include.errors import ArtifactNotFoundError
from tests.plugins.samples import DATASET
from tests.plugins.task_runs import run_task

TOMBSTONE = RetirementReport(
    version=3,
    model_key=DATASET.digest,
    retired_by="ana",
    reason="old",
    retired_at=datetime(2026, 3, 1, tzinfo=UTC),
    bundle=DATASET.digest,
    address="digits/archive/3",
)
HOLDER = "digits.maintain_platform/asset_triggered__1"


@pytest.fixture
def dag(load_dag, machine):
    return load_dag("maintain_platform")


def test_joining_fragments_makes_a_version_of_the_same_content(dag, api_server, stages, project):
    calls = stages.replace("include.data.maintenance.compact_dataset", DATASET)

    outcome = run_task(api_server, dag, "compact_dataset")

    assert (calls[0]["project"], calls[0]["holder"]) == (project, HOLDER)
    assert DatasetRef.model_validate(api_server.returned["compact_dataset"]) == DATASET
    assert (outcome.task.reads, outcome.task.writes) == ([DATASET], [DATASET])


def test_with_nothing_to_join_cleaning_still_follows(dag, api_server, stages):
    stages.replace("include.data.maintenance.compact_dataset", None)
    assert run_task(api_server, dag, "compact_dataset").state == "success"


def test_before_anything_was_published_the_run_is_skipped(dag, api_server, stages):
    stages.replace("include.data.maintenance.compact_dataset", ArtifactNotFoundError("no dataset"))
    assert run_task(api_server, dag, "compact_dataset").state == "skipped"


@pytest.mark.parametrize("removed", [(), (1, 4)])
def test_the_numbers_of_removed_versions_are_returned(dag, api_server, stages, removed):
    calls = stages.replace("include.data.maintenance.clean_versions", removed)
    assert run_task(api_server, dag, "clean_versions").state == "success"
    assert calls[0]["holder"] == HOLDER
    assert api_server.returned["clean_versions"] == list(removed)


def test_the_addresses_of_removed_staging_are_returned(dag, api_server, stages, project):
    calls = stages.replace("include.data.maintenance.clean_staging", ("digits/staging/2026-03-01",))
    assert run_task(api_server, dag, "clean_staging").state == "success"
    assert calls[0]["project"] == project
    assert api_server.returned["clean_staging"] == ["digits/staging/2026-03-01"]


def test_the_tombstones_of_retired_models_are_returned(dag, api_server, stages, project, tracking):
    calls = stages.replace("include.registry.retirement.retire_models", (TOMBSTONE,))
    assert run_task(api_server, dag, "retire_models").state == "success"
    assert (calls[0]["project"], calls[0]["holder"]) == (project, HOLDER)
    assert RetirementReport.model_validate(api_server.returned["retire_models"][0]) == TOMBSTONE


def test_checkpoints_as_old_as_old_versions_go(dag, api_server, stages, project):
    calls = stages.replace("include.training.checkpoints.clean_checkpoints", ("digits/checkpoints/1",))
    assert run_task(api_server, dag, "clean_checkpoints").state == "success"
    days = timedelta(days=project.data.keep_versions_days)
    assert calls[0]["older_than"] == pytest.approx(datetime.now(UTC) - days, abs=timedelta(minutes=5))
    assert api_server.returned["clean_checkpoints"] == ["digits/checkpoints/1"]


def test_frozen_windows_that_are_over_are_removed(dag, api_server, stages, machine):
    stages.replace("include.monitoring.profile.clean_windows", ["digits/profiles/1.parquet"])
    assert run_task(api_server, dag, "clean_windows").state == "success"
    assert api_server.returned["clean_windows"] == ["digits/profiles/1.parquet"]


EXPLAINED = ExplanationDriftReport(
    project="digits",
    start=datetime(2026, 3, 1, tzinfo=UTC),
    end=datetime(2026, 3, 8, tzinfo=UTC),
    release=DATASET.digest,
    verdict="drift",
    images=60,
    summary="drift: 30% of what answers rest on lies elsewhere",
)


@pytest.mark.parametrize(("verdict", "state"), [("drift", "success"), ("insufficient", "skipped")])
def test_what_a_week_of_answers_rests_on_is_reported_unless_too_little_was_kept(
    dag, api_server, stages, project, verdict, state
):
    report = EXPLAINED.model_copy(update={"verdict": verdict})
    asked = stages.replace("include.monitoring.explanation_drift.measure_explanation_drift", report)
    told = stages.replace("include.monitoring.explanation_drift.report_moved", None)
    assert run_task(api_server, dag, "compare_explanations").state == state
    assert (asked[0]["project"], asked[0]["end"] - asked[0]["start"]) == (project, timedelta(days=7))
    assert [call["report"] for call in told] == ([report] if verdict == "drift" else [])
