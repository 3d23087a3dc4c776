"""Rollouts with planted truths, and judges of other tools to hold ours against."""

from dataclasses import dataclass, field

import numpy as np
from scipy.stats import norm

from include.contracts import DatasetRef, ModelRef, ModelVersionRef, ReleaseRef, RolloutRef, RolloutReport, Strategy
from include.deployment.judging import judge
from include.deployment.sequential import Split
from include.deployment.strategies import count_steps, is_passed
from include.deployment.tallies import RolloutCounts
from include.project import DeploymentPolicy
from include.storage import digest_bytes

REQUESTS_PER_SECOND = 50
# The size of the image and the load of the machine, which both models share, and what is left between the two.
SHARED_NOISE, OWN_NOISE = 0.5, 0.1


@dataclass(frozen=True)
class Truth:
    """What is true of a release and of the champion it is compared with."""

    errors: float = 0.01
    champion_errors: float = 0.01
    slowdown: float = 1.0
    disagreement: float = 0.02
    worse: float = 0.5  # of the answers that differ, and of which one is right, those of the release that are wrong
    labelled: float = 0.3
    compared: float = 1.0
    timed: bool = True


@dataclass
class Traffic:
    """The counts of one rollout as they grow, and the points that a monitoring system would have of it."""

    truth: Truth
    chance: np.random.Generator
    sums: dict[str, int] = field(default_factory=dict)
    splits: dict[float, list[int]] = field(default_factory=dict)
    points: list[tuple[float, ...]] = field(default_factory=list)  # errors and mean time: release, champion
    slowdowns: np.ndarray = field(default_factory=lambda: np.empty(0))

    def answer(self, requests: int, share: float) -> None:
        """Let so many requests come while the release has a share of the traffic."""
        truth, draw = self.truth, self.chance.random((6, requests))
        own = draw[0] < share
        fails, other_fails = draw[1] < truth.errors, draw[2] < truth.champion_errors
        compared = draw[3] < truth.compared
        both = compared & ~fails & ~other_fails
        differs, label = both & (draw[4] < truth.disagreement), draw[5] < truth.labelled
        worse = self.chance.random(requests) < truth.worse
        self._add(
            run=np.sum(own | compared), run_failed=np.sum((own | compared) & fails), compared=np.sum(compared),
            failed_alone=np.sum(compared & fails & ~other_fails), answered=np.sum(both), differing=np.sum(differs),
            other_failed_alone=np.sum(compared & other_fails & ~fails), compared_labelled=np.sum(both & label),
            worsened=np.sum(differs & label & worse), improved=np.sum(differs & label & ~worse),
        )  # fmt: skip
        seen = own.sum(), (~own).sum(), (own & fails).sum(), (~own & other_fails).sum()
        self.splits[share] = [int(old + new) for old, new in zip(self.splits.get(share, [0] * 4), seen, strict=True)]
        self._time(own, both, seen)

    def count(self) -> RolloutCounts:
        """Give the counts up to now."""
        splits = sorted(self.splits.items())
        return RolloutCounts(
            requests={share: seen[0] for share, seen in splits},
            assigned=tuple(Split(share, seen[0], seen[1]) for share, seen in splits),
            failed=tuple(Split(share, seen[2], seen[3]) for share, seen in splits),
            slowdowns=self.slowdowns if self.truth.timed else np.empty(0),
            **self.sums,
        )

    def _add(self, **counts: np.integer) -> None:
        for name, number in counts.items():
            self.sums[name] = self.sums.get(name, 0) + int(number)

    def _time(self, own: np.ndarray, both: np.ndarray, seen: tuple[np.integer, ...]) -> None:
        shared, *apart = self.chance.normal(size=(3, len(own)))
        mine, others = (np.exp(SHARED_NOISE * shared + OWN_NOISE * noise) for noise in apart)
        mine *= self.truth.slowdown
        self.slowdowns = np.concatenate([self.slowdowns, (mine / others)[both]])
        if seen[0] and seen[1]:
            self.points.append((seen[2] / seen[0], seen[3] / seen[1], mine[own].mean(), others[~own].mean()))


def name_rollout(strategy: Strategy = "canary") -> RolloutRef:
    """Name a rollout that nobody has begun."""
    digest = digest_bytes(b"release")
    dataset = DatasetRef(project="p", address="a", version=1, digest=digest, images=1, labelled=1)
    model = ModelRef(project="p", key=digest, run_id="r", weights=digest, dataset=dataset)
    release = ReleaseRef(
        model=ModelVersionRef(model=model, version=2, accuracy=0.9), address="a", digest=digest, parity=0
    )
    return RolloutRef(id=1, release=release, strategy=strategy)


def play(
    truth: Truth, policy: DeploymentPolicy, seed: int, *, look: int, most: int, held: float | None = None
) -> tuple[RolloutReport, Traffic]:
    """Play a canary until it is decided, or so many requests have come; return its last report.

    :param look: Requests from one look of the judge to the next.
    :param held: Share of the traffic at which it stays, whatever speaks for promotion.
    """
    traffic, rollout = Traffic(truth, np.random.default_rng(seed)), name_rollout()
    steps, step = count_steps("canary", policy), 1
    for answered in range(look, most + 1, look):
        share = held or policy.canary_steps[step - 1]
        traffic.answer(look, share)
        counts = traffic.count()
        minutes = answered / REQUESTS_PER_SECOND / 60
        report = judge(counts, policy, rollout, step, share, elapsed_minutes=minutes)
        if report.verdict == "roll_back" or (held is None and report.verdict != "continue"):
            break
        if step < steps and is_passed("canary", policy, counts.requests[share]):
            step += 1
    return report, traffic


def breaks_threshold(points: np.ndarray, allowed: int, least: float = 0.95) -> bool:
    """Judge by a fixed threshold of success, as the first example of Argo Rollouts' analysis does.

    :param points: Errors and mean times of release and champion [N, 4].
    :param allowed: Points that may fail; the example allows 3, the default 0.
    """
    return int(np.sum(1 - points[:, 0] < least)) > allowed


def breaks_ranks(points: np.ndarray, column: int, confidence: float = 0.98, tolerance: float = 0.25) -> bool:
    """Judge one metric as Kayenta's published classifier does.

    High is what has the lower end of the interval of Mann and Whitney's shift (Hodges and Lehmann 1963) above a quarter
    of its estimate.

    :param column: 0: errors; 2: times.
    """
    mine, others = points[:, column], points[:, column + 1]
    shifts = np.sort(np.subtract.outer(mine, others).ravel())
    count = len(points)
    spread = norm.ppf((1 + confidence) / 2) * np.sqrt(count * count * (2 * count + 1) / 12)
    low = shifts[max(0, int(count * count / 2 - spread))]
    return bool(low > tolerance * abs(np.median(shifts)))
