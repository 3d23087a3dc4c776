import logging
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from include.errors import ContractViolationError, DataQualityError, ServiceUnavailableError
from include.ledger import Ledger
from include.ledger.erasures import refuse_forever
from include.ledger.models import find_candidate
from include.ledger.tables import candidates, memberships
from include.settings import REPOSITORY
from include.tracking import CURVES, ERASED_TAG, KEY_TAG
from include.training import fit
from include.training.checkpoints import Checkpoints
from include.training.fit import train_candidate
from include.training.locks import one_at_a_time
from include.training.provenance import candidate_key
from include.vision.weights import load_classifier

TRAIN = """
import sys
from include.contracts import DatasetRef
from include.ledger import Ledger
from include.project import Project
from include.storage import Store
from include.tracking import Tracking
from include.training.fit import train_candidate
project, dataset, store, ledger, tracking = sys.argv[1:]
train_candidate(Project.model_validate_json(project), DatasetRef.model_validate_json(dataset), Store(store),
                Ledger(ledger), Tracking(tracking), "first")
"""


@pytest.fixture
def dataset(publish, digit_images):
    return publish(digit_images[:200])


@pytest.fixture
def train(quick_project, dataset, store, ledger, tracking):
    def call(name="run"):
        return train_candidate(quick_project, dataset, store, ledger, tracking, name)

    return call


def list_runs(tracking, project):
    with tracking.connect() as client:
        return client.search_runs([tracking.find_experiment(project.name)])


def test_trains_a_model_that_can_be_fetched_and_read(train, quick_project, dataset, tracking, ledger, caplog):
    caplog.set_level(logging.INFO)
    model = train()
    assert model.key == candidate_key(quick_project, dataset)
    assert find_candidate(ledger, model.key) == model
    _, classes = load_classifier(tracking.fetch_candidate(model))
    assert classes == quick_project.classes
    assert sum("validation accuracy" in message for message in caplog.messages) == 3


def test_the_run_in_mlflow_tells_how_it_was_trained(train, quick_project, dataset, tracking):
    model = train("monday")
    with tracking.connect() as client:
        run = client.get_run(model.run_id)
        history = client.get_metric_history(model.run_id, "validation_accuracy")
    assert (run.info.status, run.info.run_name) == ("FINISHED", "monday")
    assert run.data.params["epochs"] == "3"
    assert run.data.tags[KEY_TAG] == model.key
    assert run.data.tags["windhover.dataset"] == dataset.digest
    assert run.data.tags["windhover.weights"] == model.weights
    assert [point.step for point in history] == [1, 2, 3]
    assert dataset.digest.startswith(f"sha256:{run.inputs.dataset_inputs[0].dataset.digest}")
    assert tracking.read_artifact(model.run_id, CURVES).startswith(b"\x89PNG")


def test_a_repeated_request_finds_the_same_model(train, quick_project, tracking, monkeypatch):
    model = train()
    monkeypatch.setattr(fit, "fit_classifier", None)
    assert train("again") == model
    assert len(list_runs(tracking, quick_project)) == 1


def test_the_same_inputs_give_the_same_weights(train, ledger):
    first = train()
    with ledger.begin() as connection:
        connection.execute(sa.delete(candidates))
    second = train()
    assert second.run_id != first.run_id
    assert second.weights == first.weights


def test_a_model_whose_run_was_deleted_is_trained_and_recorded_anew(train, tracking, ledger):
    first = train()
    with tracking.connect() as client:
        client.delete_run(first.run_id)
    second = train()
    assert second.run_id != first.run_id
    assert find_candidate(ledger, first.key) == second
    assert train() == second


def test_a_model_of_images_forgotten_while_it_was_trained_is_marked(train, dataset, tracking, ledger, monkeypatch):
    real = fit.record_candidate

    def forget_and_record(*arguments, **options):
        refuse_forever(ledger, dataset.project, ["sha256:face"])
        return real(*arguments, **options)

    held = {"project": dataset.project, "digest": "sha256:face", "partition": "2026-03-01", "source": "face.png"}
    with ledger.begin() as connection:
        connection.execute(sa.insert(memberships).values(**held, since_version=dataset.version))
    monkeypatch.setattr(fit, "record_candidate", forget_and_record)
    model = train()
    with tracking.connect() as client:
        assert client.get_run(model.run_id).data.tags[ERASED_TAG] == "forgotten while it was trained"
        client.set_tag(model.run_id, ERASED_TAG, "request 17")
    train()
    with tracking.connect() as client:
        assert client.get_run(model.run_id).data.tags[ERASED_TAG] == "request 17"


def test_two_attempts_at_once_agree_on_one_model(train):
    with ThreadPoolExecutor(2) as pool:
        models = list(pool.map(train, ["one", "two"]))
    assert models[0] == models[1]


def test_a_killed_attempt_is_gone_on_with_in_the_same_run(quick_project, dataset, store, ledger, tracking, caplog):
    training = quick_project.training.model_copy(update={"epochs": 40})
    long = quick_project.model_copy(update={"training": training})
    arguments = [long.model_dump_json(), dataset.model_dump_json(), str(store.root)]
    places = [ledger.url.render_as_string(hide_password=False), tracking.uri]
    command = [sys.executable, "-c", TRAIN, *arguments, *places]
    with subprocess.Popen(command, cwd=REPOSITORY) as attempt:
        try:
            wait_for_epoch(tracking, long, attempt)
        finally:
            attempt.kill()
    killed = list_runs(tracking, long)[0]
    assert killed.info.status == "RUNNING"
    assert find_candidate(ledger, candidate_key(long, dataset)) is None

    caplog.set_level(logging.INFO)
    model = train_candidate(long, dataset, store, ledger, tracking, "second")
    assert "going on after epoch" in caplog.text
    assert [(run.info.run_id, run.info.status) for run in list_runs(tracking, long)] == [(model.run_id, "FINISHED")]
    assert model.run_id == killed.info.run_id
    with tracking.connect() as client:
        history = client.get_metric_history(model.run_id, "train_loss")
    assert [point.step for point in history] == list(range(1, 41))
    assert store.list(f"{long.name}/checkpoints") == []

    with ledger.begin() as connection:
        connection.execute(sa.delete(candidates))
    assert train_candidate(long, dataset, store, ledger, tracking, "undisturbed").weights == model.weights


def test_a_checkpoint_that_a_kill_left_beside_its_candidate_is_removed(train, quick_project, dataset, store):
    model = train()
    left = Checkpoints(store, quick_project.name, model.key)
    store.write(left.address, b"written before the kill")
    assert train() == model
    assert not store.exists(left.address)


def wait_for_epoch(tracking, project, attempt, seconds=120):
    deadline = time.monotonic() + seconds
    while not any("train_loss" in run.data.metrics for run in list_runs(tracking, project)):
        assert attempt.poll() is None, "the training ended by itself"
        assert time.monotonic() < deadline, f"no epoch within {seconds} s"
        time.sleep(0.1)


def test_a_training_that_raises_leaves_a_failed_run_and_no_candidate(
    train, quick_project, tracking, ledger, monkeypatch
):
    def diverge(*_, **__):
        raise ContractViolationError("training diverged")

    monkeypatch.setattr(fit, "fit_classifier", diverge)
    with pytest.raises(ContractViolationError, match="diverged"):
        train()
    assert [run.info.status for run in list_runs(tracking, quick_project)] == ["FAILED"]
    with ledger.begin() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(candidates)) == 0


def test_bad_data_opens_no_run(publish, digit_images, quick_project, store, ledger, tracking):
    dataset = publish(digit_images[:8])
    with pytest.raises(DataQualityError, match=r"5 labelled training images, training\.min_images is 10"):
        train_candidate(quick_project, dataset, store, ledger, tracking, "run")
    assert list_runs(tracking, quick_project) == []


def test_a_dead_mlflow_is_reported_fast(quick_project, dataset, store, ledger, dead_tracking):
    started = time.monotonic()
    with pytest.raises(ServiceUnavailableError, match=dead_tracking.uri):
        train_candidate(quick_project, dataset, store, ledger, dead_tracking, "run")
    assert time.monotonic() - started < 15


def test_a_dead_ledger_is_reported(quick_project, dataset, store, tracking, tmp_path):
    dead = Ledger(f"postgresql://nobody@/windhover?host={tmp_path}")
    with pytest.raises(ServiceUnavailableError, match="ledger"):
        train_candidate(quick_project, dataset, store, dead, tracking, "run")


def test_a_second_training_of_the_project_waits_for_the_first(train, quick_project, ledger):
    waiting = sa.text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    with ThreadPoolExecutor(1) as pool:
        with one_at_a_time(ledger, f"{quick_project.name}/training"):
            second = pool.submit(train)
            while not second.done():
                with ledger.begin() as connection:
                    if connection.scalar(waiting):
                        break
            assert not second.done()
        assert second.result().project == quick_project.name
