import pytest

from include.errors import ServiceUnavailableError
from include.training.logbook import draw_curves, open_logbook
from include.training.optimise import Epoch

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
