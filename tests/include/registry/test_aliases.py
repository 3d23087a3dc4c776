from concurrent.futures import ThreadPoolExecutor

import pytest

from include.contracts import ModelVersionRef
from include.errors import ArtifactNotFoundError, ServiceUnavailableError, StaleAttemptError
from include.ledger.models import find_alias, move_alias, record_model_version
from include.registry import aliases
from include.registry.aliases import crown_champion, find_champion, mirror_aliases


@pytest.fixture
def versions(decide, ledger, create_version):
    """Three registered versions."""
    registered = []
    for number in (1, 2, 3):
        model = decide(str(number)).candidate.model
        create_version(model)
        registered.append(ModelVersionRef(model=model, version=number, accuracy=0.9))
        record_model_version(ledger, registered[-1])
    return registered


@pytest.fixture
def crown(ledger, tracking):
    return lambda version: crown_champion(version, ledger, tracking, "a test")


@pytest.fixture
def read_both(quick_project, ledger, read_alias):
    """Champion and previous; ledger and MLflow must agree."""

    def read():
        found = {alias: find_alias(ledger, quick_project.name, alias) for alias in ("champion", "previous")}
        assert {alias: version and str(version) for alias, version in found.items()} == {
            alias: read_alias(alias) for alias in found
        }
        return found["champion"], found["previous"]

    return read


def test_the_first_champion_has_no_predecessor(crown, versions, read_both, quick_project, ledger):
    assert find_champion(quick_project.name, ledger) is None
    crown(versions[0])
    assert read_both() == (1, None)
    assert find_champion(quick_project.name, ledger) == versions[0]


def test_the_old_champion_becomes_previous_and_can_return(crown, versions, read_both):
    crown(versions[0])
    crown(versions[1])
    assert read_both() == (2, 1)
    crown(versions[0])
    assert read_both() == (1, 2)


def test_crowning_twice_changes_nothing(crown, versions, read_both):
    crown(versions[0])
    crown(versions[1])
    crown(versions[1])
    assert read_both() == (2, 1)


@pytest.mark.parametrize("calls_before_crash", [0, 1])
def test_a_crash_anywhere_is_repaired_by_running_it_again(crown, versions, read_both, monkeypatch, calls_before_crash):
    crown(versions[0])
    calls = []

    def crash_after(step):
        def call(*args, **kwargs):
            if len(calls) == calls_before_crash:
                raise KeyboardInterrupt
            calls.append(step)
            return step(*args, **kwargs)

        return call

    with monkeypatch.context() as patch:
        for name in ("move_alias", "mirror_aliases"):
            patch.setattr(aliases, name, crash_after(getattr(aliases, name)))
        with pytest.raises(KeyboardInterrupt):
            crown(versions[1])
    assert len(calls) == calls_before_crash
    crown(versions[1])
    assert read_both() == (2, 1)


def test_a_dead_mlflow_is_made_up_for_later(crown, versions, ledger, dead_tracking, read_both):
    with pytest.raises(ServiceUnavailableError):
        crown_champion(versions[0], ledger, dead_tracking, "a test")
    crown(versions[0])
    assert read_both() == (1, None)


def test_two_at_once_leave_one_champion_everywhere(crown, versions, read_both):
    crown(versions[0])

    def attempt(version):
        try:
            crown(version)
        except StaleAttemptError:
            return "stale"
        return "crowned"

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(attempt, versions[1:]))
    assert "crowned" in outcomes
    champion, previous = read_both()
    assert champion in {2, 3}
    assert previous in {1, 2, 3} - {champion}


def test_an_attempt_that_comes_too_late_leaves_the_predecessor_alone(crown, versions, read_both, monkeypatch):
    crown(versions[0])

    def find_late(*arguments):
        found = find_alias(*arguments)
        monkeypatch.setattr(aliases, "find_alias", find_alias)
        crown(versions[1])
        crown(versions[2])
        return found

    monkeypatch.setattr(aliases, "find_alias", find_late)
    with pytest.raises(StaleAttemptError, match="points at version 3, not at 1"):
        crown(versions[1])
    assert read_both() == (3, 2)


def test_mlflow_is_brought_back_to_what_the_ledger_says(crown, versions, quick_project, ledger, tracking, read_both):
    crown(versions[1])
    with tracking.connect() as client:
        client.set_registered_model_alias(quick_project.name, "champion", "3")
    mirror_aliases(quick_project.name, ledger, tracking)
    assert read_both() == (2, None)


def test_a_champion_the_ledger_does_not_know_is_an_error(quick_project, ledger):
    move_alias(ledger, quick_project.name, "champion", expected=None, version=9, reason="a test")
    with pytest.raises(ArtifactNotFoundError, match="champion is version 9"):
        find_champion(quick_project.name, ledger)
