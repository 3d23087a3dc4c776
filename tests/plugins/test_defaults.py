from datetime import timedelta

import pytest
from airflow.sdk import RetryAction
from airflow.sdk.definitions.retry_policy import ExceptionRetryPolicy
from pydantic import ValidationError

from include.contracts import Contract, Count
from include.errors import DataQualityError, LeaseHeldError, ServiceUnavailableError, StaleAttemptError
from windhover.defaults import RETRY_UNLESS_PERMANENT, dag_defaults, load_valid_projects


class Counted(Contract):
    n: Count


def broken_contract():
    with pytest.raises(ValidationError) as caught:
        Counted(n=-1)
    return caught.value


@pytest.mark.parametrize("policy", [RETRY_UNLESS_PERMANENT, "through the database"])
@pytest.mark.parametrize(
    ("error", "action"),
    [
        pytest.param(DataQualityError("bad"), RetryAction.FAIL, id="permanent"),
        pytest.param(StaleAttemptError("overtaken"), RetryAction.FAIL, id="overtaken"),
        pytest.param(broken_contract(), RetryAction.FAIL, id="broken-contract"),
        pytest.param(ServiceUnavailableError("down"), RetryAction.DEFAULT, id="transient"),
        pytest.param(LeaseHeldError("held"), RetryAction.DEFAULT, id="held"),
        pytest.param(MemoryError(), RetryAction.DEFAULT, id="unforeseen"),
    ],
)
def test_only_what_fails_the_same_way_again_is_not_retried(policy, error, action):
    if policy == "through the database":
        policy = ExceptionRetryPolicy.deserialize(RETRY_UNLESS_PERMANENT.serialize())
    assert policy.evaluate(error, try_number=1, max_tries=3).action == action


def test_overrides_win(project):
    assert dag_defaults(project, max_active_runs=1)["max_active_runs"] == 1
    assert dag_defaults(project)["catchup"] is False


@pytest.mark.parametrize("hours", [0, 0.5, 72.0])
def test_a_run_is_late_six_hours_after_people_had_their_time(project, hours):
    assert dag_defaults(project, people_hours=hours)["deadline"].interval == timedelta(hours=6 + hours)


def test_projects_are_read_in_order_without_the_broken_ones(tmp_path, monkeypatch):
    monkeypatch.setenv("WINDHOVER_PROJECTS", str(tmp_path))
    assert load_valid_projects() == []
    for name in ("b", "a"):
        (tmp_path / f"{name}.yaml").write_text(f"name: {name}\nclasses: [x, y]\n")
    (tmp_path / "broken.yaml").write_text("name: [")
    (tmp_path / "empty.yaml").write_text("")
    assert [project.name for project in load_valid_projects()] == ["a", "b"]


def test_a_projects_folder_that_is_not_there_has_no_projects(tmp_path, monkeypatch):
    monkeypatch.setenv("WINDHOVER_PROJECTS", str(tmp_path / "nowhere"))
    assert load_valid_projects() == []
