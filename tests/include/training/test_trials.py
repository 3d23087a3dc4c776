import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from include.project import TuningConfig
from include.settings import REPOSITORY
from include.training import trials
from include.training.choice import choose_settings
from include.training.nested_runs import PART_TAG, STUDY_TAG
from include.training.trials import run_trials

RUN = """
import sys
from datetime import UTC, datetime, timedelta
from include.contracts import DatasetRef
from include.ledger import Ledger
from include.project import Project
from include.storage import Store
from include.tracking import Tracking
from include.training import trials
project, dataset, store, ledger, tracking = sys.argv[1:]
fit = trials.fit_classifier
def announce(training, classes, train, validation, report):
    def reported(epoch):
        report(epoch)
        print("epoch", epoch.number, flush=True)
    return fit(training, classes, train, validation, reported)
trials.fit_classifier = announce
trials.run_trials(Project.model_validate_json(project), DatasetRef.model_validate_json(dataset), Store(store),
                  Ledger(ledger), Tracking(tracking), datetime.now(UTC) + timedelta(hours=1))
"""
GRID = {"method": "grid", "search": {"learning_rate": {"choices": [0.001, 0.01]}}, "prune": False}


@pytest.fixture
def dataset(publish, digit_images):
    return publish(digit_images[:120])


@pytest.fixture
def tuned(quick_project):
    return quick_project.model_copy(update={"tuning": TuningConfig.model_validate(GRID)})


@pytest.fixture
def places(store, ledger, tracking):
    return store, ledger, tracking


def in_an_hour():
    return datetime.now(UTC) + timedelta(hours=1)


def list_parts(tracking, project):
    with tracking.connect() as client:
        runs = client.search_runs([tracking.find_experiment(project.name)])
    return sorted((run.data.tags[PART_TAG], run.info.status) for run in runs)


def test_the_best_settings_are_those_trained_with(tuned, dataset, places):
    report = run_trials(tuned, dataset, *places, in_an_hour())
    assert (report.completed, report.pruned, report.failed) == (2, 0, 0)
    chosen = choose_settings(tuned, dataset, *places[1:])
    assert chosen.training.learning_rate == report.settings["learning_rate"]
    assert chosen.training.model_copy(update={"learning_rate": tuned.training.learning_rate}) == tuned.training


def test_trials_are_runs_below_one_run(tuned, dataset, places):
    study = run_trials(tuned, dataset, *places, in_an_hour()).study
    choose_settings(tuned, dataset, *places[1:])
    tracking = places[2]
    assert list_parts(tracking, tuned) == [("study", "FINISHED"), ("trial 0", "FINISHED"), ("trial 1", "FINISHED")]
    with tracking.connect() as client:
        runs = client.search_runs([tracking.find_experiment(tuned.name)], f"tags.`{STUDY_TAG}` = '{study}'")
        [parent] = [run for run in runs if run.data.tags[PART_TAG] == "study"]
        children = [run for run in runs if run is not parent]
        assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
        assert {run.data.params["learning_rate"] for run in children} == {"0.001", "0.01"}
        history = client.get_metric_history(children[0].info.run_id, "validation_accuracy")
    assert [point.step for point in history] == [1, 2, 3]


def test_a_second_run_tries_nothing_again(tuned, dataset, places, monkeypatch):
    first = run_trials(tuned, dataset, *places, in_an_hour())
    monkeypatch.setattr(trials, "fit_classifier", None)
    assert run_trials(tuned, dataset, *places, in_an_hour()) == first


def test_no_trial_begins_after_the_deadline(tuned, dataset, places):
    assert run_trials(tuned, dataset, *places, datetime.now(UTC)).completed == 0


def test_settings_that_diverge_fail_and_the_others_go_on(tuned, dataset, places):
    search = {"learning_rate": {"choices": [0.01, 1.0]}, "weight_decay": {"choices": [1e-4, 1.0]}}
    tuning = TuningConfig.model_validate(GRID | {"search": search})

    def diverge(training, *arguments):
        if training.learning_rate == 1.0:
            raise trials.ContractViolationError("training diverged")
        return fit(training, *arguments)

    fit, trials.fit_classifier = trials.fit_classifier, diverge
    try:
        report = run_trials(tuned.model_copy(update={"tuning": tuning}), dataset, *places, in_an_hour())
    finally:
        trials.fit_classifier = fit
    assert (report.completed, report.failed) == (2, 2)
    assert report.settings["learning_rate"] == 0.01


def test_killed_in_the_middle_of_a_trial_the_next_attempt_goes_on(tuned, dataset, places, ledger_uri):
    store, _, tracking = places
    arguments = [tuned.model_dump_json(), dataset.model_dump_json(), store.root, ledger_uri, tracking.uri]
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, *arguments], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "epoch 1\n"
    process.kill()
    process.wait()
    assert list_parts(tracking, tuned) == [("study", "RUNNING"), ("trial 0", "RUNNING")]

    report = run_trials(tuned, dataset, *places, in_an_hour())

    assert (report.completed, report.failed) == (2, 0)
    assert [part for part in list_parts(tracking, tuned) if part[0] == "trial 0"] == [
        ("trial 0", "FINISHED"),
        ("trial 0", "KILLED"),
    ]
