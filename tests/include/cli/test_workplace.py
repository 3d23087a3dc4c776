import pytest

from include.cli.workplace import Workplace
from include.contracts import DriftReport, EvaluationReport
from include.errors import ArtifactNotFoundError, DataQualityError, NotCertifiedError
from include.ledger.datasets import find_latest_dataset
from include.ledger.episodes import answer_episode, find_unclosed_episode, open_episode
from include.ledger.leases import hold_lease
from include.ledger.models import find_decision

DAY = "2026-11-02"
WINDOW = {"start": "2026-11-02T00:00:00Z", "end": "2026-11-02T01:00:00Z", "release": None}


@pytest.fixture
def workplace(machine):
    return Workplace.open(machine.project)


def test_opening_connects_to_nothing(machine, monkeypatch):
    monkeypatch.delenv("WINDHOVER_LEDGER_URI")
    assert Workplace.open(machine.project).project.name == machine.project


def test_links_lead_where_people_reach_mlflow(machine, monkeypatch):
    monkeypatch.setenv("WINDHOVER_MLFLOW_PUBLIC", "https://mlflow.example")
    assert Workplace.open(machine.project).tracking.run_url("7") == "https://mlflow.example/#/runs/7"


def test_no_two_runs_share_a_name(machine, workplace):
    assert workplace.run == workplace.run
    assert Workplace.open(machine.project).run != workplace.run


def test_validation_publishes_nothing_and_ingestion_what_was_validated(machine, workplace, ledger):
    machine.deliver(DAY)
    report = workplace.validate(DAY)
    assert (report.seen, report.accepted) == (40, 40)
    assert find_latest_dataset(ledger, machine.project) is None
    dataset = workplace.ingest(DAY)
    assert dataset.digest == report.digest
    assert workplace.ingest(DAY) == find_latest_dataset(ledger, machine.project) == dataset


def test_a_delivery_below_the_bar_does_not_validate(machine, workplace, ledger):
    folder = machine.deliver(DAY)
    for path in sorted((folder / "images").iterdir())[:8]:
        path.write_bytes(b"not a picture")
    with pytest.raises(DataQualityError, match="8 of 40 files are in quarantine"):
        workplace.validate(DAY)
    with pytest.raises(DataQualityError, match="8 of 40 files are in quarantine"):
        workplace.ingest(DAY)
    assert find_latest_dataset(ledger, machine.project) is None


def test_a_day_run_again_takes_over_from_an_attempt_that_was_killed(machine, workplace, ledger):
    machine.deliver(DAY)
    with hold_lease(ledger, f"{machine.project}/images.lance", f"cli/{DAY}"):
        assert workplace.ingest(DAY).images == 40


def test_a_candidate_is_measured_judged_and_turned_down(machine, workplace, ledger, monkeypatch, mlflow_uri, invoke):
    monkeypatch.setenv("WINDHOVER_MLFLOW_URI", mlflow_uri)
    machine.write_project(promotion={"min_accuracy": 1.0})
    machine.deliver(DAY, images=300)
    workplace = Workplace.open(machine.project)
    dataset = workplace.ingest(DAY)
    candidate = workplace.train()
    assert candidate.dataset == dataset
    assert workplace.train() == workplace.find_candidate() == candidate
    with pytest.raises(ArtifactNotFoundError, match="was not judged yet; run `decide` first"):
        workplace.register(candidate)

    evaluated = invoke("evaluate", "--json")
    assert evaluated.exit_code == 0, evaluated.stderr
    report = EvaluationReport.model_validate_json(evaluated.stdout)
    decision = workplace.decide(candidate)
    assert decision.candidate == report
    assert (decision.verdict, decision.champion) == ("reject", None)
    assert find_decision(ledger, candidate.key) == decision

    drift = DriftReport(project=machine.project, **WINDOW, verdict="drift", predictions=90, summary="sharpness")
    answer_episode(ledger, open_episode(ledger, drift), "run")
    with pytest.raises(NotCertifiedError, match="policy's floor"):
        workplace.register(candidate)
    assert find_unclosed_episode(ledger, machine.project) is None
    with pytest.raises(ArtifactNotFoundError, match="no certified version yet"):
        workplace.find_certified()
