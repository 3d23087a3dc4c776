import time

import pytest
import torch

from include.errors import ServiceUnavailableError
from include.tracking import KEY_TAG
from include.training.epochs import Epoch
from include.training.logbook import Logbook, draw_curves, open_logbook

KEY = f"sha256:{'a' * 64}"


@pytest.fixture
def dataset(publish, digit_images):
    return publish(digit_images[:8])


def read_status(tracking, run_id):
    with tracking.connect() as client:
        return client.get_run(run_id).info.status


def test_a_run_is_finished_only_at_the_end(tracking, quick_project, dataset):
    with open_logbook(tracking, quick_project, dataset, KEY, "run") as logbook:
        assert read_status(tracking, logbook.run_id) == "RUNNING"
    assert read_status(tracking, logbook.run_id) == "FINISHED"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_whatever_ends_the_training_early_fails_the_run(tracking, quick_project, dataset, error):
    with pytest.raises(error), open_logbook(tracking, quick_project, dataset, KEY, "run") as logbook:
        raise error
    assert read_status(tracking, logbook.run_id) == "FAILED"


def test_an_unfinished_run_is_gone_on_with_and_its_epochs_are_logged_once(tracking, quick_project, dataset):
    first, second = Epoch(1, 0.5, 0.6, 0.7, 0.1, 1.0), Epoch(2, 0.4, 0.5, 0.8, 0.1, 1.0)
    with tracking.connect() as client:
        experiment = tracking.find_experiment(quick_project.name)
        killed = client.create_run(experiment, tags={KEY_TAG: KEY}).info.run_id
    Logbook(tracking, killed).add_epoch(first)
    with open_logbook(tracking, quick_project, dataset, KEY, "two") as two:
        assert two.run_id == killed
        assert read_status(tracking, two.run_id) == "RUNNING"
        two.add_epoch(first)
        two.add_epoch(second)
    with tracking.connect() as client:
        history = client.get_metric_history(killed, "train_loss")
        inputs = client.get_run(killed).inputs.dataset_inputs
    assert [(point.step, point.value) for point in history] == [(1, 0.5), (2, 0.4)]
    assert len(inputs) == 1


def test_a_finished_or_deleted_run_is_left_alone(tracking, quick_project, dataset):
    with open_logbook(tracking, quick_project, dataset, KEY, "finished") as finished:
        pass
    with pytest.raises(KeyError), open_logbook(tracking, quick_project, dataset, KEY, "failed") as failed:
        raise KeyError
    with tracking.connect() as client:
        client.delete_run(failed.run_id)
    with open_logbook(tracking, quick_project, dataset, KEY, "new") as new:
        assert new.run_id not in {finished.run_id, failed.run_id}


def test_of_several_unfinished_runs_the_newest_goes_on_and_the_others_are_closed(tracking, quick_project, dataset):
    experiment = tracking.find_experiment(quick_project.name)
    with tracking.connect() as client:
        old, new = (
            client.create_run(experiment, start_time=start, tags={KEY_TAG: KEY}).info.run_id for start in (1000, 2000)
        )
    with open_logbook(tracking, quick_project, dataset, KEY, "again") as logbook:
        assert logbook.run_id == new
    assert read_status(tracking, old) == "KILLED"


def test_the_run_says_on_what_and_with_which_settings(tracking, quick_project, dataset):
    with open_logbook(tracking, quick_project, dataset, KEY, "run") as logbook:
        pass
    with tracking.connect() as client:
        data = client.get_run(logbook.run_id).data
    assert data.params["augmentation.rotate_degrees"] == "6.0"
    assert data.params["schedule"] == "cosine"
    assert data.tags["windhover.torch"] == torch.__version__


def test_the_machine_is_watched_while_it_trains(tracking, quick_project, dataset, monkeypatch):
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.1")
    with open_logbook(tracking, quick_project, dataset, KEY, "run") as logbook:
        deadline = time.monotonic() + 30
        found = {}
        while "system/cpu_utilization_percentage" not in found:
            assert time.monotonic() < deadline, "no system metrics within 30 s"
            with tracking.connect() as client:
                found = client.get_run(logbook.run_id).data.metrics


def test_another_key_is_left_running(tracking, quick_project, dataset):
    with (
        open_logbook(tracking, quick_project, dataset, KEY, "one") as one,
        open_logbook(tracking, quick_project, dataset, f"sha256:{'b' * 64}", "two"),
    ):
        assert read_status(tracking, one.run_id) == "RUNNING"


def test_a_dead_server_opens_nothing(dead_tracking, quick_project, dataset):
    with pytest.raises(ServiceUnavailableError), open_logbook(dead_tracking, quick_project, dataset, KEY, "run"):
        pytest.fail("the block must not start")


def test_curves_mark_the_kept_epoch():
    epochs = [Epoch(number, 1 / number, 1.2 / number, number / 5, 0.1, 1.0) for number in (1, 2, 3)]
    figure = draw_curves(epochs, epochs[1])
    losses, accuracies = figure.axes
    assert [line.get_label() for line in losses.lines] == ["train", "validation", "kept: epoch 2"]
    assert list(accuracies.lines[0].get_ydata()) == [0.2, 0.4, 0.6]
