"""What follows from a diagnosis: what the project file says, unless a training would gain nothing."""

from include.contracts import Action, ActionDecision, DiagnosisReport, PerformanceReport, TrainingMode
from include.errors import ContractViolationError
from include.project import Project

# A training that is expected to gain less is not worth its time.
MIN_GAIN = 0.01


def decide_action(
    diagnosis: DiagnosisReport,
    project: Project,
    performance: PerformanceReport | None = None,
    *,
    missed: bool = False,
) -> ActionDecision:
    """Choose what is done about a cause, as `monitoring.actions` of the project file says, and what it should gain.

    A training is left out where labels show that the model is about as good as certified, or, while there are none,
    where the diagnosis expects no gain of it.

    :param missed: The project promised more and asked for a training: it is trained unless the source is to be fixed.
    """
    action: Action = getattr(project.monitoring.actions, diagnosis.cause)
    gain = _predict_gain(diagnosis, performance)
    reasons = [f"{diagnosis.name}; monitoring.actions.{diagnosis.cause} says {action}"]
    harmless = _find_harmless(gain, project, performance)
    if missed and action != "fix_source":
        action = "retrain"
        reasons.append("less accurate than promised; monitoring.objectives.when_exhausted says retrain")
    elif action == "retrain" and harmless:
        action, gain = "ignore", 0.0
        reasons.append(harmless)
    if action == "recalibrate" and diagnosis.priors:
        reasons.append("shares of the classes now: " + ", ".join(f"{k} {v:.1%}" for k, v in diagnosis.priors.items()))
    reasons.append("nobody can say what it gains" if gain is None else f"expected to change accuracy by {gain:+.1%}")
    return ActionDecision(
        project=project.name,
        episode=diagnosis.episode,
        cause=diagnosis.cause,
        action=action,
        mode=choose_mode(diagnosis, project),
        relabel=project.monitoring.actions.relabel_images if action == "relabel" else 0,
        predicted_gain=gain,
        reasons=tuple(reasons),
    )


def override_action(
    decision: ActionDecision, action: Action, project: Project, *, who: str, why: str
) -> ActionDecision:
    """Do otherwise than decided, as somebody answers for.

    :raises ContractViolationError: nobody, or no reason, is named.
    """
    if not who.strip() or not why.strip():
        raise ContractViolationError(f"{decision.action} is not overridden without a name and a reason; give both")
    relabel = project.monitoring.actions.relabel_images if action == "relabel" else 0
    reasons = (*decision.reasons, f"{who} chose {action} instead of {decision.action}: {why}")
    return decision.model_copy(update={"action": action, "relabel": relabel, "overridden_by": who, "reasons": reasons})


def choose_mode(diagnosis: DiagnosisReport, project: Project) -> TrainingMode:
    """Choose how to train: where images are called something else now, older labels would teach the old names."""
    return "sliding_window" if diagnosis.cause == "concept_change" else project.monitoring.retraining.mode


def _predict_gain(diagnosis: DiagnosisReport, performance: PerformanceReport | None) -> float | None:
    if diagnosis.accuracy is not None and diagnosis.attainable is not None:
        return diagnosis.attainable - diagnosis.accuracy
    if performance is None or performance.certified is None:
        return None
    now = performance.estimate if performance.accuracy is None else performance.accuracy
    return None if now is None else performance.certified - now


def _find_harmless(gain: float | None, project: Project, performance: PerformanceReport | None) -> str:
    """Return why a training would gain nothing; empty where it may gain something."""
    if performance and performance.low is not None and performance.certified is not None:
        least = performance.certified - project.monitoring.performance.max_drop
        labels = f"{performance.labelled} labels put accuracy above {performance.low:.1%}, certified was"
        return f"no harm: {labels} {performance.certified:.1%}" if performance.low >= least else ""
    if gain is not None and gain < MIN_GAIN:
        return f"no harm: on known images it costs {max(gain, 0):.1%} of accuracy"
    return ""
