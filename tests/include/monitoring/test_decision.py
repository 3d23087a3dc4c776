import typing
from datetime import UTC, datetime

import pytest

from include.contracts import Action, Cause, DiagnosisReport, PerformanceReport
from include.errors import ContractViolationError
from include.monitoring.decision import choose_mode, decide_action, override_action
from include.project import ActionPolicy, Project

MOMENT = datetime(2026, 3, 1, tzinfo=UTC)
CAUSES = typing.get_args(Cause)
FITTING = {
    "camera_fault": "fix_source",
    "lighting": "retrain",
    "geometry": "fix_source",
    "class_prior": "recalibrate",
    "new_class": "relabel",
    "label_noise": "relabel",
    "concept_change": "retrain",
    "unknown": "retrain",
}


def diagnose(cause: Cause = "lighting", **changes) -> DiagnosisReport:
    named = {"project": "digits", "episode": 4, "cause": cause, "name": f"a {cause}", "scores": {cause: 1.0}}
    return DiagnosisReport.model_validate(named | {"evidence": ("seen",), "accuracy": 0.6, "attainable": 0.9} | changes)


def measure(**changes) -> PerformanceReport:
    counted = {"project": "digits", "start": MOMENT, "end": MOMENT, "predictions": 200, "labelled": 100}
    return PerformanceReport.model_validate(counted | changes)


@pytest.mark.parametrize("cause", CAUSES)
def test_each_cause_has_the_action_of_the_policy(project: Project, cause):
    plain = project.model_copy(update={"monitoring": project.monitoring.model_copy(update={"actions": ActionPolicy()})})
    decision = decide_action(diagnose(cause), plain)
    assert (decision.action, decision.cause, decision.episode) == (FITTING[cause], cause, 4)
    assert decision.relabel == (20 if decision.action == "relabel" else 0)
    assert decision.predicted_gain == pytest.approx(0.3)
    assert f"a {cause}" in decision.reasons[0]


def test_the_project_file_decides(project: Project):
    policy = ActionPolicy(camera_fault="retrain", new_class="ignore")
    own = project.model_copy(update={"monitoring": project.monitoring.model_copy(update={"actions": policy})})
    assert decide_action(diagnose("camera_fault"), own).action == "retrain"
    assert decide_action(diagnose("new_class"), own).action == "ignore"


@pytest.mark.parametrize(
    ("performance", "action"),
    [
        (None, "retrain"),
        (measure(certified=0.95, accuracy=0.96, low=0.92, high=0.98), "ignore"),
        (measure(certified=0.95, accuracy=0.9, low=0.82, high=0.95), "retrain"),
        (measure(certified=0.95, labelled=0), "retrain"),
    ],
)
def test_labels_that_show_no_harm_save_a_training(project: Project, performance, action):
    decision = decide_action(diagnose(), project, performance)
    assert decision.action == action
    assert any("no harm" in reason for reason in decision.reasons) == (action == "ignore")


def test_a_training_that_gains_nothing_is_left_out(project: Project):
    assert decide_action(diagnose(accuracy=0.895), project).action == "ignore"
    harmed = measure(certified=0.95, accuracy=0.7, low=0.6, high=0.8)
    assert decide_action(diagnose(accuracy=0.895), project, harmed).action == "retrain"


@pytest.mark.parametrize("cause", CAUSES)
def test_a_missed_objective_is_trained_for_unless_the_source_is_to_be_fixed(project: Project, cause):
    plain = project.model_copy(update={"monitoring": project.monitoring.model_copy(update={"actions": ActionPolicy()})})
    steady = measure(certified=0.95, accuracy=0.87, low=0.86, high=0.88, verdict="stable")
    decision = decide_action(diagnose(cause), plain, steady, missed=True)
    fixed = FITTING[cause] == "fix_source"
    assert (decision.action, decision.relabel) == ("fix_source" if fixed else "retrain", 0)
    assert any("less accurate than promised" in reason for reason in decision.reasons) != fixed


def test_of_an_unknown_cause_the_accuracy_tells_the_gain(project: Project):
    unknown = diagnose("unknown", accuracy=None, attainable=None)
    assert decide_action(unknown, project).predicted_gain is None
    assert decide_action(unknown, project, measure(certified=0.9, estimate=0.7)).predicted_gain == pytest.approx(0.2)
    labelled = measure(certified=0.9, accuracy=0.5, low=0.4, high=0.6, estimate=0.7)
    assert decide_action(unknown, project, labelled).predicted_gain == pytest.approx(0.4)


def test_new_shares_are_among_the_reasons(project: Project):
    decision = decide_action(diagnose("class_prior", priors={"3": 0.42, "4": 0.58}), project)
    assert "shares of the classes now: 3 42.0%, 4 58.0%" in decision.reasons


def test_old_labels_are_left_out_where_names_have_changed(project: Project):
    assert choose_mode(diagnose("concept_change"), project) == "sliding_window"
    assert choose_mode(diagnose("lighting"), project) == project.monitoring.retraining.mode


@pytest.mark.parametrize("action", typing.get_args(Action))
def test_people_may_choose_otherwise(project: Project, action):
    decision = override_action(decide_action(diagnose(), project), action, project, who="mira", why="it was the dust")
    assert (decision.action, decision.overridden_by) == (action, "mira")
    assert decision.relabel == (20 if action == "relabel" else 0)
    assert "mira" in decision.reasons[-1]
    assert "it was the dust" in decision.reasons[-1]


@pytest.mark.parametrize(("who", "why"), [("", "dust"), ("mira", "  ")])
def test_nobody_chooses_otherwise_without_a_reason(project: Project, who, why):
    with pytest.raises(ContractViolationError, match="without a name and a reason"):
        override_action(decide_action(diagnose(), project), "ignore", project, who=who, why=why)
