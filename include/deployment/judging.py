"""Judge a rollout from counts: is the release harmful, is it proven, or is it too early to tell?"""

from typing import Literal, NamedTuple

from include.contracts import MetricReport, RolloutRef, RolloutReport, Strategy, Verdict
from include.deployment.sequential import Split, weigh_excess, weigh_imbalance, weigh_ratio, weigh_shortfall
from include.deployment.strategies import count_steps, is_passed
from include.deployment.tallies import RolloutCounts
from include.project import DeploymentPolicy, JudgePolicy

# What a gate lets pass lies so much above what is harm; a release just at a limit would wait for ever.
DISAGREEMENT_MARGIN = 0.05
SLOW_MARGIN = 0.1

Metric = Literal["errors", "latency", "agreement", "accuracy", "sample_ratio"]


class _Weighed(NamedTuple):
    """The evidence on one metric, and its verdict as long as that is no harm."""

    metric: Metric
    evidence: float
    harmless: Literal["safe", "better", "undecided", "not_measured"]
    seen: str


def judge(
    counts: RolloutCounts,
    policy: DeploymentPolicy,
    rollout: RolloutRef,
    step: int,
    weight: float,
    *,
    elapsed_minutes: float,
) -> RolloutReport:
    """Judge a rollout by all that is known of it; as often as anybody likes, for that costs no certainty.

    Verdicts: `roll_back` where harm is shown; `promote` where the last step's requests are answered and every gate is
    passed; `not_enough_evidence` where the deadline is over, so that it goes back; else `continue`. `direct` has
    nothing to compare with: whoever calls for its judgement has seen it answer its golden images.

    :param step: 0 while serving processes load the release, then from 1, as `count_steps` counts.
    :param weight: The release's share of the traffic in this step.
    """
    metrics = _report(counts, policy.judge, rollout.strategy)
    harm = [_describe(metric) for metric in metrics if metric.verdict == "harm"]
    missing = _list_missing(counts, policy, rollout.strategy, metrics, step, weight)
    verdict, reasons = _decide(harm, missing, elapsed_minutes, policy.judge.deadline_minutes)
    measured = [_describe(metric) for metric in metrics if metric.verdict != "not_measured"]
    return RolloutReport(
        rollout=rollout, verdict=verdict, step=step, weight=weight, requests=sum(counts.requests.values()),
        metrics=metrics, reasons=tuple(reasons or measured or ["it answers its golden images"]),
    )  # fmt: skip


def _decide(harm: list[str], missing: list[str], elapsed: float, deadline: float) -> tuple[Verdict, list[str]]:
    """Return the verdict, and what speaks against promotion."""
    if harm:
        return "roll_back", harm
    # Not a number fails both comparisons: a clock that cannot be believed promotes nothing.
    if not missing and elapsed >= 0:
        return "promote", []
    if elapsed < deadline:
        return "continue", missing or ["it has not begun yet, says the clock"]
    return "not_enough_evidence", [f"not enough evidence within {deadline:g} minutes", *missing]


def _list_missing(
    counts: RolloutCounts,
    policy: DeploymentPolicy,
    strategy: Strategy,
    metrics: tuple[MetricReport, ...],
    step: int,
    weight: float,
) -> list[str]:
    """List what keeps a harmless release from being promoted."""
    if strategy == "direct":
        return []
    missing = []
    steps, answered = count_steps(strategy, policy), counts.requests.get(weight, 0)
    if step < steps:
        missing.append(f"step {step} of {steps}")
    if not is_passed(strategy, policy, answered):
        missing.append(f"{answered} of {policy.step_requests} requests in this step")
    if counts.compared < policy.comparisons:
        missing.append(f"{counts.compared} of {policy.comparisons} comparisons")
    gates = _list_gates(policy.judge, strategy)
    return missing + [
        f"{metric.metric} not shown to be {gates[metric.metric]} yet: {metric.seen}"
        for metric in metrics
        if metric.verdict != gates.get(metric.metric, metric.verdict)
    ]


def _list_gates(policy: JudgePolicy, strategy: Strategy) -> dict[str, str]:
    """Return the verdict that each metric needs before a release is promoted."""
    gates = {"errors": "safe", "latency": "safe"}
    if policy.max_disagreement is not None:
        gates["agreement"] = "safe"
    if strategy == "ab_test":
        gates["accuracy"] = "better"
    return gates


def _report(counts: RolloutCounts, policy: JudgePolicy, strategy: Strategy) -> tuple[MetricReport, ...]:
    """Weigh every metric that a strategy can measure; which these are is known before its first request.

    Each has the same share of alpha, so that the chance that any of them ever calls an equal model harmful is no
    larger than alpha.
    """
    if strategy == "direct":
        return ()
    weighed = [_weigh_errors(counts, policy), _weigh_latency(counts, policy)]
    weighed.append(_weigh_answers(counts, policy, split=strategy == "ab_test"))
    if strategy in {"canary", "ab_test"}:
        weighed.append(_weigh_samples(counts))
    if policy.max_disagreement is not None:
        weighed.append(_weigh_agreement(counts, policy, policy.max_disagreement))
    limit = len(weighed) / policy.alpha
    if policy.max_disagreement is None:
        weighed.append(_Weighed("agreement", 1.0, "not_measured", "nobody knows how often the two may differ"))
    return tuple(
        MetricReport(
            metric=metric, verdict="harm" if evidence >= limit else harmless, evidence=evidence, limit=limit, seen=seen
        )
        for metric, evidence, harmless, seen in weighed
    )


def _weigh_errors(counts: RolloutCounts, policy: JudgePolicy) -> _Weighed:
    """Weigh failures three ways: against the champion's traffic, side by side, and against the limit.

    The largest of three e-values, over three: which of the ways sees most depends on the strategy, and each is a try.
    """
    apart = counts.failed_alone + counts.other_failed_alone
    ways = (
        weigh_ratio(counts.failed),
        weigh_excess(counts.failed_alone, apart, 0.5),
        weigh_excess(counts.run_failed, counts.run, policy.max_error_rate),
    )
    ours, theirs = _sum(counts.failed)
    seen = (
        f"failed on {counts.run_failed} of {counts.run} requests; with traffic apart {ours} against the champion's "
        f"{theirs}, side by side {counts.failed_alone} alone against {counts.other_failed_alone}"
    )
    if not counts.run:
        return _Weighed("errors", 1.0, "not_measured", "it has seen no request")
    fewer = weigh_shortfall(counts.run_failed, counts.run, policy.max_error_rate)
    return _Weighed("errors", max(ways) / len(ways), "safe" if fewer >= 1 / policy.beta else "undecided", seen)


def _weigh_latency(counts: RolloutCounts, policy: JudgePolicy) -> _Weighed:
    """Weigh how often the release took longer than the other model by more than the limit: a sign test of pairs."""
    timed = len(counts.slowdowns)
    slow = int((counts.slowdowns > policy.max_slowdown).sum())
    if not timed:
        return _Weighed("latency", 1.0, "not_measured", "no pair was timed")
    seen = f"slower than {policy.max_slowdown:g} times in {slow} of {timed} pairs"
    rarely = weigh_shortfall(slow, timed, 0.5 + SLOW_MARGIN) >= 1 / policy.beta
    return _Weighed("latency", weigh_excess(slow, timed, 0.5), "safe" if rarely else "undecided", seen)


def _weigh_agreement(counts: RolloutCounts, policy: JudgePolicy, limit: float) -> _Weighed:
    """Weigh how often the two answered differently."""
    if not counts.answered:
        return _Weighed("agreement", 1.0, "not_measured", "no two answers were compared")
    seen = f"{counts.differing} of {counts.answered} answers differ, {limit:.1%} may"
    rarely = weigh_shortfall(counts.differing, counts.answered, min(limit + DISAGREEMENT_MARGIN, 1.0))
    evidence = weigh_excess(counts.differing, counts.answered, limit)
    # A limit of 1 is none.
    safe = limit >= 1 or rarely >= 1 / policy.beta
    return _Weighed("agreement", evidence, "safe" if safe else "undecided", seen)


def _weigh_answers(counts: RolloutCounts, policy: JudgePolicy, *, split: bool) -> _Weighed:
    """Weigh wrong answers, as far as labels have come.

    :param split: Those that clients got, each from one of the two; else those of both to the same requests, of which
        only the ones that one model alone got right tell (McNemar, Psychometrika 12, 1947).
    """
    if split:
        (ours, theirs), (mine, others) = _sum(counts.wrong), _sum(counts.labelled)
        seen, labels = f"wrong {ours} of {mine}, the champion {theirs} of {others}", mine + others
        evidence, gain = weigh_ratio(counts.wrong), weigh_ratio(counts.wrong, rarer=True)
        # Labels that come for one more than for the other make that one look worse.
        gain = 0.0 if weigh_imbalance(counts.labelled) >= 1 / policy.beta else gain
    else:
        apart, labels = counts.worsened + counts.improved, counts.compared_labelled
        seen = f"of {labels} labelled pairs {counts.worsened} worse, {counts.improved} better"
        evidence, gain = (weigh(counts.worsened, apart, 0.5) for weigh in (weigh_excess, weigh_shortfall))
    if not labels:
        return _Weighed("accuracy", 1.0, "not_measured", "no labels yet")
    return _Weighed("accuracy", evidence, "better" if gain >= 1 / policy.beta else "undecided", seen)


def _weigh_samples(counts: RolloutCounts) -> _Weighed:
    """Weigh whether the release gets its share: where it does not, rows are lost, and nothing else can be believed."""
    drawn = [split for split in counts.assigned if 0 < split.share < 1]
    if not drawn:
        return _Weighed("sample_ratio", 1.0, "not_measured", "the traffic is not divided yet")
    seen = ", ".join(f"{ours} of {ours + theirs} at {share:.0%}" for share, ours, theirs in drawn)
    return _Weighed("sample_ratio", weigh_imbalance(drawn), "safe", seen)


def _sum(splits: tuple[Split, ...]) -> tuple[int, int]:
    return sum(split.release for split in splits), sum(split.champion for split in splits)


def _describe(metric: MetricReport) -> str:
    return f"{metric.metric} {metric.verdict}: {metric.seen} (e-value {metric.evidence:.3g}, limit {metric.limit:.3g})"
