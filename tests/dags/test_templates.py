"""What the fields of every task hold once Airflow has rendered them."""

from datetime import UTC, datetime

import pytest
from airflow.sdk.exceptions import ParamValidationError

from include.project import Project
from tests.plugins.samples import DAY, END, START
from tests.plugins.task_runs import NOW, ApiServer, make_run, play, start_task

STEMS = ["ingest_images", "train_model", "promote_model", "deploy_model", "predict_batch", "monitor_model"]
STEMS += ["maintain_platform"]
FIRST = datetime(2026, 11, 1, tzinfo=UTC)
EMPTY = dict.fromkeys(["epochs", "learning_rate", "seed", "mode"])
HOUR = {"logical_date": START, "data_interval_start": START, "data_interval_end": END}


@pytest.fixture
def render(load_dag):
    """Give a function that renders the fields of one task."""

    def render_task(stem, task_id, run_type="manual", **values):
        dag = load_dag(stem)
        ti, context = start_task(dag, task_id, make_run(dag.dag_id, run_type, **values))
        task = ti.task = ti.task.prepare_for_execution()
        with play(ApiServer(pushed={("publish_dataset", "changed"): True})):
            task.render_template_fields(context, dag.get_template_env())
        return task

    return render_task


@pytest.mark.parametrize("stem", STEMS)
def test_the_project_reaches_every_task_as_it_was_written(load_dag, render, shipped_project, stem):
    # Rendered natively, the class "0" would become a number and an empty text nothing.
    for task in load_dag(stem).tasks:
        if "project" in task.template_fields and not task.is_mapped:
            assert Project.model_validate(render(stem, task.task_id).project) == shipped_project, task.task_id


@pytest.mark.parametrize(("key", "rendered"), [(DAY, DAY), ("2026-01-01", "2026-01-01"), (None, None)])
def test_a_partition_stays_a_text_and_none_stays_none(render, key, rendered):
    assert render("ingest_images", "wait_for_batch", partition_key=key).partition == rendered


def test_an_empty_form_overrides_nothing(render):
    assert render("train_model", "train_candidate").overrides == EMPTY


@pytest.mark.parametrize("moment", [None, "2026-11-01T00:00:00Z", "2026-11-01T02:00:00+02:00"])
def test_the_moment_to_look_back_to_arrives_as_it_was_written(render, moment):
    assert render("train_model", "select_dataset", conf={"as_of": moment}).as_of == moment


@pytest.mark.parametrize(
    ("stem", "conf"),
    [
        ("release_quarantine", {"partition": "2026-11-20"}),
        ("release_quarantine", {"partition": "2026-11-20", "reason": ""}),
        ("release_quarantine", {"partition": "yesterday", "reason": "checked"}),
        ("forget_images", {"subject": "s-17"}),
        ("forget_images", {"digest": "sha256:1", "reason": "asked"}),
        ("import_model", {}),
        ("import_model", {"file": "../net.onnx"}),
        ("train_model", {"as_of": "soon"}),
        ("predict_batch", {"day": "yesterday"}),
        ("predict_batch", {"version": 0}),
        ("predict_batch", {"champion_at": "soon"}),
    ],
)
def test_a_form_that_lacks_something_is_refused(render, stem, conf):
    task_id = {"train_model": "select_dataset", "predict_batch": "select_release"}.get(stem, stem)
    with pytest.raises(ParamValidationError):
        render(stem, task_id, conf=conf)


def test_the_form_arrives_with_its_types(render):
    overrides = render("train_model", "train_candidate", conf={"epochs": 3, "learning_rate": 0.1, "seed": 0}).overrides
    assert overrides == {"epochs": 3, "learning_rate": 0.1, "seed": 0, "mode": None}
    assert [type(value) for value in overrides.values()] == [int, float, int, type(None)]


@pytest.mark.parametrize(
    ("run_type", "values", "start", "end"),
    [
        pytest.param("scheduled", HOUR, START, END, id="its-hour"),
        pytest.param("manual", {}, datetime(2026, 11, 21, 9, 30, tzinfo=UTC), NOW, id="the-last-hour"),
        pytest.param("manual", HOUR, datetime(2026, 11, 21, 9, 30, tzinfo=UTC), NOW, id="by-hand-with-a-date"),
        pytest.param(
            "manual", {"conf": {"window_minutes": 5}}, datetime(2026, 11, 21, 10, 25, tzinfo=UTC), NOW, id="minutes"
        ),
        pytest.param(
            "manual", {"conf": {"start": "2026-11-01T00:00:00Z"}}, datetime(2026, 11, 1, tzinfo=UTC), NOW, id="z"
        ),
        pytest.param(
            "manual",
            {"conf": {"start": "2026-11-01T02:00:00+02:00"}},
            datetime(2026, 11, 1, tzinfo=UTC),
            NOW,
            id="zone",
        ),
        pytest.param("backfill", HOUR | {"run_after": END}, START, END, id="an-hour-of-the-past"),
    ],
)
def test_the_window_to_watch(render, run_type, values, start, end):
    task = render("monitor_model", "profile_predictions", run_type, **values)
    assert (datetime.fromisoformat(task.start), datetime.fromisoformat(task.end)) == (start, end)
    assert datetime.fromisoformat(task.start).tzinfo is not None


@pytest.mark.parametrize(
    "conf",
    [{"window_minutes": 0}, {"window_minutes": "soon"}, {"start": 5}],
)
def test_a_form_that_makes_no_sense_is_refused(render, conf):
    with pytest.raises(ValueError, match=r"(?i)invalid input for param"):
        render("monitor_model", "profile_predictions", conf=conf)


@pytest.mark.parametrize(
    "conf", [{"epochs": 0}, {"epochs": 2.5}, {"learning_rate": 0}, {"learning_rate": 2}, {"seed": -1}]
)
def test_training_settings_have_bounds(render, conf):
    with pytest.raises(ValueError, match=r"(?i)invalid input for param"):
        render("train_model", "train_candidate", conf=conf)
