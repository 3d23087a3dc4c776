import pytest

from include.contracts import ReleaseRef, StrategyDecision
from include.deployment.docker_target import DockerTarget
from include.deployment.rollout import complete_rollout, roll_back, start
from include.deployment.targets import PROCESSES, open_target
from include.ledger.plans import find_plan
from include.settings import load_settings
from tests.rollouts import serve


class Recorded:
    """A target that remembers what was asked of it, and who was candidate at that moment."""

    def __init__(self, ledger) -> None:
        self.ledger = ledger
        self.calls: list[tuple[str, int, ReleaseRef | None]] = []

    def prepare(self, release: ReleaseRef) -> None:
        self._note("prepare", release)

    def finish(self, release: ReleaseRef) -> None:
        self._note("finish", release)

    def abandon(self, release: ReleaseRef) -> None:
        self._note("abandon", release)

    def _note(self, call: str, release: ReleaseRef) -> None:
        self.calls.append((call, release.model.version, find_plan(self.ledger, "digits").candidate))


@pytest.fixture
def begin(project, ledger, store, release_of):
    """Start a rollout beside version 1."""
    serve(ledger, release_of(1))
    decision = StrategyDecision(strategy="direct", recommended="direct", reasons=())
    return lambda version, target: start(
        release_of(version), decision, project, ledger, store, f"run-{version}", target
    )


def test_a_target_prepares_before_the_plan_names_a_release_and_clears_up_when_it_no_longer_does(begin, ledger):
    target = Recorded(ledger)
    complete_rollout(begin(2, target), ledger, target)
    roll_back(begin(3, target), ["no"], ledger, target=target)
    assert target.calls == [("prepare", 2, None), ("finish", 2, None), ("prepare", 3, None), ("abandon", 3, None)]


def test_what_a_target_cannot_prepare_is_not_rolled_out(begin, ledger):
    target = Recorded(ledger)

    def fail(release: ReleaseRef) -> None:
        raise OSError("no space left")

    target.prepare = fail
    before = find_plan(ledger, "digits")
    with pytest.raises(OSError, match="no space left"):
        begin(2, target)
    assert find_plan(ledger, "digits") == before


def test_processes_follow_the_plan_by_themselves(begin, ledger, release_of):
    begin(2, PROCESSES)
    before = find_plan(ledger, "digits")
    for call in (PROCESSES.prepare, PROCESSES.finish, PROCESSES.abandon):
        call(release_of(2))
    assert find_plan(ledger, "digits") == before


def test_the_environment_names_the_target(monkeypatch):
    monkeypatch.delenv("WINDHOVER_TARGET", raising=False)
    assert open_target(load_settings()) is PROCESSES
    monkeypatch.setenv("WINDHOVER_TARGET", "docker")
    assert isinstance(open_target(load_settings(), "postgresql://ledger/windhover"), DockerTarget)
