import pytest

from include.training.nested_runs import close_study_run, open_part, open_study_run


@pytest.fixture
def parent(tracking, quick_project):
    return open_study_run(tracking, quick_project.name, "a", "tuning")


def read(tracking, run_id):
    with tracking.connect() as client:
        return client.get_run(run_id)


def test_a_study_has_one_run_above_the_others(tracking, quick_project, parent):
    assert open_study_run(tracking, quick_project.name, "a", "tuning").run_id == parent.run_id
    assert open_study_run(tracking, quick_project.name, "b", "tuning").run_id != parent.run_id


def test_a_part_that_fails_says_so_and_its_error_stays(tracking, parent):
    with pytest.raises(ZeroDivisionError), open_part(tracking, parent, "a", "trial 0", {"epochs": 3}) as run:
        raise ZeroDivisionError
    assert read(tracking, run.run_id).info.status == "FAILED"


def test_what_a_killed_attempt_left_running_is_closed(tracking, parent):
    killed = open_part(tracking, parent, "a", "trial 0", {})
    left = killed.__enter__()
    with open_part(tracking, parent, "a", "trial 1", {}):
        assert read(tracking, left.run_id).info.status == "RUNNING"
    with open_part(tracking, parent, "a", "trial 0", {}) as run:
        assert read(tracking, left.run_id).info.status == "KILLED"
    assert read(tracking, run.run_id).info.status == "FINISHED"


def test_the_choice_stands_in_the_run_above(tracking, parent):
    for _ in range(2):
        close_study_run(tracking, parent, {"learning_rate": 0.01}, {"best_validation_accuracy": 0.9})
    run = read(tracking, parent.run_id)
    assert (run.info.status, run.data.tags["best.learning_rate"]) == ("FINISHED", "0.01")
    assert run.data.metrics["best_validation_accuracy"] == 0.9
