import pytest

from include.training.epochs import Epoch
from include.training.runs import finishing, log_epoch


@pytest.fixture
def run(tracking, quick_project):
    with tracking.connect() as client:
        return client.create_run(tracking.find_experiment(quick_project.name)).info.run_id


def read(tracking, run_id):
    with tracking.connect() as client:
        return client.get_run(run_id)


def test_a_run_ends_as_its_block_does(tracking, run):
    with finishing(tracking, run):
        log_epoch(tracking, run, Epoch(3, 0.5, 0.6, 0.7, 0.1, 1.0))
        assert read(tracking, run).info.status == "RUNNING"
    assert read(tracking, run).info.status == "FINISHED"
    with tracking.connect() as client:
        assert [(point.step, point.value) for point in client.get_metric_history(run, "train_loss")] == [(3, 0.5)]
    with pytest.raises(KeyboardInterrupt), finishing(tracking, run):
        raise KeyboardInterrupt
    assert read(tracking, run).info.status == "FAILED"


def test_the_error_of_the_block_is_the_one_that_is_raised(dead_tracking):
    with pytest.raises(ZeroDivisionError), finishing(dead_tracking, "a"):
        raise ZeroDivisionError
