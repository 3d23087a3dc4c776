"""Why a window differs: every cause is tried on known images, and the one that explains what is seen is named."""

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from threadpoolctl import threadpool_limits

from include.contracts import Cause, DiagnosisReport, DriftReport, PerformanceReport
from include.errors import ArtifactNotFoundError
from include.monitoring.causes import Explanation, explain_by_new_class, explain_by_priors
from include.monitoring.dead_pixels import find_dead_pixels
from include.monitoring.evidence import Evidence, gather_evidence
from include.monitoring.faults import damage, list_pairs
from include.monitoring.label_causes import explain_by_labels
from include.monitoring.observations import Known, read_kept
from include.monitoring.shift import Shift
from include.monitoring.trials import Trial
from include.project import Project
from include.storage import Store

# Of the minute that a diagnosis may take; the rest is reading.
TRYING_SECONDS = 40.0
TRIALS = 130
FEWEST_KNOWN = 8
KEPT = 32
EXAMPLES = 12
# Two samples of one world differ as much in one of a hundred windows.
SIGNIFICANT = 0.01
PREFIXES: dict[Cause, str] = {"camera_fault": "camera: ", "lighting": "light: ", "geometry": "geometry: "}
CAUSES: tuple[Cause, ...] = (
    "camera_fault", "lighting", "geometry", "class_prior", "new_class", "label_noise", "concept_change", "unknown",
)  # fmt: skip
LABELS = ("label_noise", "concept_change")


def diagnose(
    project: Project, episode: int, drift: DriftReport, performance: PerformanceReport | None, store: Store
) -> DiagnosisReport:
    """Name the cause of a drift, or of lost accuracy, from the window it was found in.

    Faults of the camera, of the light and of the geometry are done to known images, and the difference that they make
    is held against the one seen, in the space of a kernel over image statistics and embeddings. Other shares of the
    classes are estimated by expectation maximisation, new classes by nearest neighbours, changed labels by whether
    they can be learned. A cause explains a share of the difference; where none explains half of it, it is unknown.

    :param performance: Of the same window; the accuracy certified there is the yardstick.
    """
    # On matrices this small, threads that wait for busy cores cost ten times the work.
    with threadpool_limits(1):
        return _diagnose(project, episode, drift, performance, store)


def _diagnose(
    project: Project, episode: int, drift: DriftReport, performance: PerformanceReport | None, store: Store
) -> DiagnosisReport:
    try:
        evidence = gather_evidence(project, drift, store)
    except ArtifactNotFoundError as error:
        return _report(project, episode, [], f"nothing to compare with: {error}")
    if evidence is None:
        return _report(project, episode, [], "no model answered in the window")
    certified = _certify(evidence, performance)
    shift = Shift(evidence.window, evidence.reference, evidence.reference_labels, evidence.lens.names)
    differs = shift.p_value <= SIGNIFICANT
    found = _explain_images(evidence, shift, certified, store) if differs else []
    found += _explain_labels(evidence, found, certified)
    differ = "differ" if differs else "do not differ"
    said = (
        f"images and embeddings {differ} from the reference (p = {shift.p_value:.2g}, {len(evidence.window)} answers)"
    )
    return _report(project, episode, found, said, _choose_examples(evidence, shift))


def _explain_images(evidence: Evidence, shift: Shift, certified: float, store: Store) -> list[Explanation]:
    until = time.monotonic() + TRYING_SECONDS
    kept = list(read_kept(evidence.rows, store, KEPT, evidence.bundle).values())
    dead = find_dead_pixels(kept, evidence.known.images)
    known, special = _fit_to_time(evidence), [dead] if dead else []
    fault = Trial(shift, evidence.lens, known, certified, until).explain(special)
    new = explain_by_new_class(shift, certified)
    found = [explain_by_priors(shift, evidence.classes), new]
    if fault and new.share > fault.share:
        strange, portion = shift.find_new()
        own = Shift(evidence.window.take(strange), evidence.reference, evidence.reference_labels, evidence.lens.names)
        partial = Trial(own, evidence.lens, known, certified, until).explain(special)
        # A fault of one camera among several leaves other images alone, too. Turned images may look like new ones.
        if partial and partial.cause != "geometry" and partial.share >= new.share:
            return [found[0], replace(partial, accuracy=certified + portion * (partial.accuracy - certified))]
    return [*found, fault] if fault else found


def _explain_labels(evidence: Evidence, found: Sequence[Explanation], certified: float) -> list[Explanation]:
    best = max(found, key=lambda one: one.share, default=None)
    expected = certified if best is None else certified + (best.accuracy - certified) * best.share
    came = evidence.labelled
    labelled = evidence.window.take(came)
    return explain_by_labels(labelled, evidence.labels[came], evidence.classes, certified, expected)


def _fit_to_time(evidence: Evidence) -> Known:
    """Take as many known images as all trials have time for."""
    few = evidence.known.images[:FEWEST_KNOWN]
    began = time.monotonic()
    evidence.lens.observe(damage(few, list_pairs()[0]))
    seconds = (time.monotonic() - began) / len(few)
    count = max(FEWEST_KNOWN, round(TRYING_SECONDS / 2 / TRIALS / max(seconds, 1e-6)))
    step = max(1, len(evidence.known.images) // count)
    return Known(evidence.known.images[::step], evidence.known.labels[::step])


def _certify(evidence: Evidence, performance: PerformanceReport | None) -> float:
    if performance and performance.certified is not None:
        return performance.certified
    return float((evidence.reference.answers == evidence.reference_labels).mean())


def _choose_examples(evidence: Evidence, shift: Shift) -> tuple[str, ...]:
    """Choose the requests that show the difference most; those whose images can be looked at come first."""
    requests, images = (evidence.rows[name].to_pylist() for name in ("request_id", "image"))
    typical = np.argsort(-shift.witness(), kind="stable").tolist()
    return tuple(
        requests[row] for row in sorted(typical[: 2 * EXAMPLES], key=lambda row: images[row] is None)[:EXAMPLES]
    )


def weigh(found: Sequence[Explanation]) -> list[tuple[Explanation, float]]:
    """Give each explanation its weight, the heaviest first.

    Labels are doubted for what images leave unexplained: how many answers a fault costs is foretold, the fault is seen.
    """
    seen = max((one.share for one in found if one.cause not in LABELS), default=0.0)
    weighed = [(one, one.share * (1 - seen if one.cause in LABELS else 1)) for one in found]
    return sorted(weighed, key=lambda pair: -pair[1])


def _report(
    project: Project, episode: int, found: Sequence[Explanation], said: str, examples: tuple[str, ...] = ()
) -> DiagnosisReport:
    weighed = weigh(found)
    shares = dict.fromkeys(CAUSES, 0.0)
    for one, weight in weighed:
        shares[one.cause] = max(shares[one.cause], weight)
    shares["unknown"] = 1 - max(shares.values())
    # Cubed, so that the sum of many poor explanations does not outweigh a good one.
    total = sum(share**3 for share in shares.values())
    best = weighed[0][0] if weighed and weighed[0][1] > shares["unknown"] else None
    return DiagnosisReport(
        project=project.name,
        episode=episode,
        cause=best.cause if best else "unknown",
        name=PREFIXES.get(best.cause, "") + best.name if best else "unknown: no known cause explains it",
        scores={cause: share**3 / total for cause, share in shares.items()},
        evidence=(*(one.evidence for one, weight in weighed if weight > 0), said),
        examples=examples,
        accuracy=best.accuracy if best else None,
        attainable=best.attainable if best else None,
        priors=best.priors if best else {},
    )
