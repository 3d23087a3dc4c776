from datetime import UTC, datetime

import pytest

from include.contracts import MetricReport, ReplicaReport, RolloutReport
from include.errors import ProjectFileError
from include.ledger.plans import record_replica
from include.ledger.releases import record_release
from include.ledger.rollouts import advance_rollout, complete_rollout, record_report, revert_rollout, start_rollout
from include.project import DeploymentPolicy
from tests.plugins.samples import RELEASE, digest
from windhover.ui.rollouts import SHOWN, measure_evidence, render_project_rollouts, render_rollouts

POLICY = DeploymentPolicy(strategy="canary", step_requests=20).model_dump(mode="json")
ERRORS = MetricReport(metric="errors", verdict="harm", evidence=4000.0, limit=1000.0, seen="9 of 20 failed <b>")
LATENCY = MetricReport(metric="latency", verdict="undecided", evidence=31.6, limit=1000.0, seen="60 of 100 slower")
READY = MetricReport(metric="readiness", verdict="safe", evidence=0.0, limit=1.0, seen="2 of 2 hold it")
UNMEASURED = MetricReport(metric="accuracy", verdict="not_measured", evidence=1.0, limit=1000.0, seen="no labels")


def make_release(version):
    model = RELEASE.model.model_copy(update={"version": version})
    return RELEASE.model_copy(update={"model": model, "digest": digest(str(version)), "address": f"digits/{version}"})


@pytest.fixture
def show(machine, project, ledger):
    return lambda: render_project_rollouts(project, ledger)


@pytest.fixture
def begin(ledger):
    def start(version, strategy="canary", *, complete=False):
        record_release(ledger, release := make_release(version))
        rollout = start_rollout(ledger, release, f"run {version}", strategy, POLICY)
        if complete:
            complete_rollout(ledger, rollout)
        return rollout

    return start


def report(rollout, *metrics, verdict="continue", reasons=("too early to tell",)):
    return RolloutReport(
        rollout=rollout, verdict=verdict, step=1, weight=0.25, requests=12, metrics=metrics, reasons=reasons
    )


def replica(name, revision, *, held=(), rejected=None, source="ledger"):
    return ReplicaReport(
        name=name, address=f"unix:{name}", started_at=datetime.now(UTC), revisions={"digits": revision},
        held={"digits": held}, rejected={"digits": rejected or {}}, source=source,
    )  # fmt: skip


def test_nothing_in_service_says_what_to_run(show):
    page = show()
    assert "Nothing is in service." in page
    assert "/dags/digits.deploy_model" in page
    assert "Nothing was rolled out yet." in page
    assert "Nobody answered yet." in page


def test_a_canary_shows_its_share_its_steps_and_what_speaks_against_it(show, begin, ledger):
    begin(1, complete=True)
    rollout = begin(2)
    advance_rollout(ledger, rollout, 0, lambda plan: plan.model_copy(update={"weight": 0.25, "shadow": 1.0}), "step 1")
    record_report(ledger, report(rollout, ERRORS, LATENCY, UNMEASURED))
    page = show()
    assert "champion 75 %" in page
    assert "candidate 25 %" in page
    assert page.count('<span class="verdict success">5 %') == page.count('<span class="verdict success">25 %') == 1
    assert '<span class="chip">50 %' in page
    assert "100 % of the requests, off their path: champion and candidate" in page
    assert "e-value 4e+03; harm at 1e+03" in page
    assert "9 of 20 failed &lt;b&gt;" in page
    assert "no labels" in page
    assert "continue</b> at step 1, after 12 requests of the candidate" in page
    assert "mark <code>judge_rollout</code> as failed" in page
    assert "goes back after 60 minutes" in page


def test_whether_a_release_is_loaded_is_no_matter_of_chance(show, begin, ledger):
    begin(1, complete=True)
    record_report(ledger, report(begin(2), READY))
    assert "2 of 2 hold it" in show()
    assert "e-value" not in show()


def test_without_a_rollout_there_is_nothing_to_abort_and_a_way_back(show, begin):
    begin(1, complete=True)
    begin(2, complete=True)
    page = show()
    assert "Abort" not in page
    assert "<code>previous</code> for version 1" in page
    assert "answers every request" in page


@pytest.mark.parametrize(
    ("told", "says"),
    [
        (replica("serving-1", 1, held=(digest("1"),)), '<span class="chip">version 1</span>'),
        (replica("serving-1", 1), "version 1: not yet"),
        (replica("serving-1", 7), '<span class="verdict released">revision 7'),
        (replica("serving-1", 1, source="cache"), "the ledger does not answer it"),
        (replica("serving-1", 1, rejected={digest("1"): "golden <i>3</i> differs"}), "golden &lt;i&gt;3"),
        (None, "No serving process reports."),
    ],
    ids=["holds", "loads", "behind", "cache", "rejects", "none"],
)
def test_every_process_says_what_it_follows_holds_and_rejects(show, begin, ledger, told, says):
    rollout = begin(1)
    assert rollout.strategy == "direct"
    if told:
        record_replica(ledger, told)
    assert says in show()


def test_history_says_how_each_ended_and_why(show, begin, ledger):
    begin(1, complete=True)
    bad = begin(2)
    record_report(ledger, report(bad, ERRORS, verdict="roll_back", reasons=("errors are more",)))
    revert_rollout(ledger, bad, ["errors are more"], who="the judge")
    begin(3, "blue_green", complete=True)
    page = show()
    history = page[page.index("Rollouts so far") :]
    assert history.index("blue/green") < history.index("errors are more") < history.index("direct")
    assert history.count(">completed</span>") == 2
    assert history.count(">rolled back</span>") == 1
    assert "12 requests, what the judge saw last" in history
    assert "rollout 2 was taken back" in history[history.index("Who answered when") :]


def test_a_project_out_of_service_again_says_so(show, begin, ledger):
    revert_rollout(ledger, begin(1), ["golden image 3 differs"])
    page = show()
    assert "Nothing is in service." in page
    assert "<td>nobody</td>" in page


def test_a_long_history_is_cut_at_the_newest(show, begin, ledger):
    begin(1, complete=True)
    rollout = begin(2)
    for step in range(SHOWN + 5):
        weight = 0.1 if step % 2 else 0.2
        advance_rollout(
            ledger, rollout, step, lambda plan, w=weight: plan.model_copy(update={"weight": w}), f"to {step}."
        )
    page = show()
    assert f"to {SHOWN + 4}." in page
    assert "to 1." not in page


def test_every_project_is_there_and_a_broken_file_is_said(machine, project, begin, ledger):
    begin(1, complete=True)
    other = project.model_copy(update={"name": "plankton", "title": "Plankton"})
    page = render_rollouts([project, other], [ProjectFileError("x.yaml: clases: unknown key")], ledger)
    assert "/windhover/rollouts/digits" in page
    assert page.count("Nothing is in service.") == 1
    assert "x.yaml: clases" in page
    assert "Rollouts so far" not in page


@pytest.mark.parametrize(
    ("evidence", "limit", "expected"),
    [(1.0, 100.0, 0.0), (10.0, 100.0, 0.5), (100.0, 100.0, 1.0), (1e300, 100.0, 1.0), (0.0, 100.0, 0.0),
     (float("nan"), 100.0, 0.0), (float("inf"), 100.0, 1.0), (5.0, 1.0, 0.0)],
)  # fmt: skip
def test_evidence_grows_evenly_towards_harm(evidence, limit, expected):
    assert measure_evidence(ERRORS.model_copy(update={"evidence": evidence, "limit": limit})) == pytest.approx(expected)
