"""How often the judge takes an equal model back, and how soon a bad one.

    .venv/bin/python -m benchmarks.rollout_judge

Traffic is drawn, seeded, at 50 requests a second; the truth about release and champion is planted (`planted_rollouts`),
and the judge looks every two seconds of it, as often as the serving processes publish what they log. Its policy is the
default, with 5 % of answers that may differ. Beside it, on the same traffic: a fixed threshold and ranks, as other
tools have them.
"""

import sys
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.stats import binomtest

from benchmarks.planted_rollouts import Traffic, Truth, breaks_ranks, breaks_threshold, play
from include.deployment.sequential import Split, weigh_ratio
from include.project import DeploymentPolicy, JudgePolicy

ROLLOUTS = 2000
BAD = 500
LOOK = 100
POLICY = DeploymentPolicy(judge=JudgePolicy(max_disagreement=0.05))
# An equal model exactly at every limit: as hard to tell from a harmful one as it gets.
AT_LIMITS = DeploymentPolicy(judge=JudgePolicy(max_disagreement=0.05, max_slowdown=1.0))
MOST, HELD = 20_000, 5_000
# Of those that a client's key decides: how many clients there are, and how many of them send what no model can answer.
KEYS, UNANSWERABLE = 300, 0.05
# Points of two seconds each, at a quarter of the traffic, and after how many of them the ranks are looked at.
POINTS, SHARE = 60, 0.25
THRESHOLDS = {"success below 95 % in any point": 0, "in four": 3}
RANKS = {"ranks, 10 points": [10], "ranks, 60 points": [60], "ranks, every 10 points": range(10, 61, 10)}
COMPARED = {
    "equal": Truth(),
    "errors 1 % + 5 points": Truth(0.06),
    "errors 20 %": Truth(0.2),
    "20 % slower": Truth(slowdown=1.2),
}
EQUAL = {
    "equal, promoted when proven": (Truth(), POLICY, None),
    "equal and at every limit, held at 5 %": (Truth(0.05, 0.05, disagreement=0.05), AT_LIMITS, 0.05),
    "equal and at every limit, held at 50 %": (Truth(0.05, 0.05, disagreement=0.05), AT_LIMITS, 0.5),
}
FAILING = {"100 %": (1.0, 10), "50 %": (0.5, 25), "20 %": (0.2, 80), "1 % + 5 points": (0.06, 400)}
SILENT = {"all answers": 0.9, "every second": 0.5, "two classes of ten": 0.2, "twice what is allowed": 0.1}
UNKNOWN = {
    "no time was measured": Truth(timed=False),
    "nothing was compared": Truth(compared=0.0),
    "every second request fails on both": Truth(0.5, 0.5),
}


class Line(NamedTuple):
    """What became of the rollouts of one truth."""

    rolled_back: int
    promoted: int
    requests: np.ndarray  # the release's own, of those rolled back [N]
    differing: np.ndarray


def play_all(truth: Truth, policy: DeploymentPolicy, rollouts: int, *, held: float | None = None, most: int) -> Line:
    """Play so many rollouts of one truth."""
    played = [play(truth, policy, seed, look=LOOK, most=most, held=held) for seed in range(rollouts)]
    back = [(report.requests, traffic.sums["differing"]) for report, traffic in played if report.verdict == "roll_back"]
    requests, differing = np.array(back, dtype=int).reshape(-1, 2).T
    promoted = sum(report.verdict == "promote" for report, _ in played)
    return Line(len(back), promoted, requests, differing)


def show_equal(rollouts: int, most: int) -> tuple[Table, bool]:
    """Tell how often an equal model is taken back."""
    table = _start_table(
        f"{rollouts} rollouts of an equal model a line; goals: <= 0.5 % taken back, and < 1 % at 95 % confidence",
        ("", "taken back", "at most, 95 %", "promoted"),
    )
    sound = True
    for name, (truth, policy, held) in EQUAL.items():
        line = play_all(truth, policy, rollouts, held=held, most=min(most, HELD) if held else most)
        high = binomtest(line.rolled_back, rollouts, alternative="less").proportion_ci(0.95, method="exact").high
        table.add_row(name, f"{line.rolled_back / rollouts:.2%}", f"{high:.2%}", f"{line.promoted / rollouts:.1%}")
        sound &= line.rolled_back <= 0.005 * rollouts and (high < 0.01 or rollouts < ROLLOUTS)
    return table, sound


def show_failing(rollouts: int, most: int) -> tuple[Table, bool]:
    """Tell how many requests a release that fails more often than the champion's 1 % gets before it is taken back."""
    table = _start_table(
        f"{rollouts} rollouts a line; the champion fails on 1 %; counted are the release's own requests",
        ("fails on", "taken back", "promoted", "median", "p95", "goal", "without comparisons: taken back", "p95"),
    )
    sound = True
    for name, (errors, goal) in FAILING.items():
        line = play_all(Truth(errors), POLICY, rollouts, most=most)
        alone = play_all(Truth(errors, compared=0.0), POLICY, rollouts, held=0.05, most=most)
        late = _quantile(line.requests, 0.95)
        shares = (f"{number / rollouts:.1%}" for number in (line.rolled_back, line.promoted))
        middle = f"{_quantile(line.requests, 0.5):.0f}", f"{late:.0f}", f"<= {goal}"
        apart = f"{alone.rolled_back / rollouts:.1%}", f"{_quantile(alone.requests, 0.95):.0f}"
        table.add_row(name, *shares, *middle, *apart)
        sound &= late <= goal and line.rolled_back >= 0.95 * rollouts
    return table, sound


def show_silent(rollouts: int, most: int) -> tuple[Table, bool]:
    """Tell how many answers differ before a release that is slower, or silently wrong, is taken back."""
    table = _start_table(
        f"{rollouts} rollouts a line; goals: >= 95 % taken back, p95 <= 150 answers",
        ("", "taken back", "promoted", "requests, p95", "answers that differed, p95"),
    )
    sound = True
    slow = {f"{share:.0%} slower": Truth(slowdown=1 + share) for share in (0.2, 0.5)}
    wrong = {f"wrong: {name}": Truth(disagreement=share) for name, share in SILENT.items()}
    for name, truth in (slow | wrong).items():
        line = play_all(truth, POLICY, rollouts, most=most)
        late = _quantile(line.differing, 0.95)
        shares = (f"{number / rollouts:.1%}" for number in (line.rolled_back, line.promoted))
        table.add_row(name, *shares, f"{_quantile(line.requests, 0.95):.0f}", f"{late:.0f}")
        sound &= line.rolled_back >= 0.95 * rollouts and late <= 150
    return table, sound


def show_unknown(rollouts: int, most: int) -> tuple[Table, bool]:
    """Tell that nothing is promoted of which too little is known."""
    table = _start_table(f"{rollouts} rollouts a line; goal: none promoted", ("", "promoted", "taken back"))
    lines = {name: play_all(truth, POLICY, rollouts, most=min(most, HELD)) for name, truth in UNKNOWN.items()}
    for name, line in lines.items():
        table.add_row(name, str(line.promoted), str(line.rolled_back))
    return table, not any(line.promoted for line in lines.values())


def show_keys(rollouts: int, most: int) -> tuple[Table, bool]:
    """Tell what becomes of an equal model where a client's key decides, and some clients never get an answer."""
    table = _start_table(
        f"{rollouts} A/B tests of an equal model, {KEYS} clients of very different diligence, {UNANSWERABLE:.0%} "
        "of them send what no model answers; goal: <= 0.5 % called harmful",
        ("what counts", "called harmful"),
    )
    limit = 5 / POLICY.judge.alpha
    harmful = np.array([_try_keys(seed, min(most, HELD)) for seed in range(rollouts)]) >= limit
    for name, share in zip(("a key once", "every request"), harmful.mean(axis=0), strict=True):
        table.add_row(name, f"{share:.2%}")
    return table, bool(harmful[:, 0].mean() <= 0.005)


def show_others(rollouts: int) -> tuple[Table, bool]:
    """Tell what other tools' rules say of the same traffic."""
    table = _start_table(
        f"taken back, of {rollouts} rollouts a line at {SHARE:.0%} of {POINTS * LOOK:,} requests",
        ("", "judge", "own requests until then, p95", *THRESHOLDS, *RANKS),
    )
    sound = True
    for name, truth in COMPARED.items():
        line = play_all(truth, POLICY, rollouts, held=SHARE, most=POINTS * LOOK)
        full = [_play_on(truth, seed) for seed in range(rollouts)]
        others = [np.mean([breaks_threshold(points, allowed) for points in full]) for allowed in THRESHOLDS.values()]
        for ends in RANKS.values():
            broken = [any(breaks_ranks(points[:end], column) for end in ends for column in (0, 2)) for points in full]
            others.append(np.mean(broken))
        late = f"{_quantile(line.requests, 0.95):.0f}" if line.rolled_back else "-"
        table.add_row(name, f"{line.rolled_back / rollouts:.1%}", late, *(f"{share:.1%}" for share in others))
        sound &= line.rolled_back <= 0.005 * rollouts if name == "equal" else line.rolled_back >= 0.95 * rollouts
    return table, sound


def _play_on(truth: Truth, seed: int) -> np.ndarray:
    """Return the points of the same traffic, to its end [N, 4]."""
    traffic = Traffic(truth, np.random.default_rng(seed))
    for _ in range(POINTS):
        traffic.answer(LOOK, SHARE)
    return np.array(traffic.points)


def _try_keys(seed: int, requests: int) -> tuple[float, float]:
    """Return the largest evidence of an A/B test that a key, or every request, ever gives."""
    chance = np.random.default_rng(seed)
    own, fails = chance.random(KEYS) < 0.5, chance.random(KEYS) < UNANSWERABLE
    diligence = 1 / np.arange(1, KEYS + 1)
    keys = chance.choice(KEYS, requests, p=diligence / diligence.sum())
    first = np.zeros(requests, bool)
    first[np.unique(keys, return_index=True)[1]] = True
    largest = []
    for counts in (first, np.ones(requests, bool)):
        sides = (np.cumsum(counts & fails[keys] & side[keys])[LOOK - 1 :: LOOK] for side in (own, ~own))
        largest.append(max(weigh_ratio([Split(0.5, *map(int, seen))]) for seen in zip(*sides, strict=True)))
    return largest[0], largest[1]


def _quantile(numbers: np.ndarray, share: float) -> float:
    return float(np.quantile(numbers, share)) if len(numbers) else float("nan")


def _start_table(title: str, headings: tuple[str, ...]) -> Table:
    table = Table(title=title, title_justify="left")
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="right" if index else "left")
    return table


def main(rollouts: int = ROLLOUTS, bad: int = BAD, most: int = MOST) -> bool:
    """Print the tables, and tell whether the goals were reached."""
    shown = [show_equal(rollouts, most), show_failing(bad, most), show_silent(bad, most)]
    shown += [show_unknown(bad // 5, most), show_keys(rollouts, most), show_others(bad)]
    for table, _ in shown:
        Console().print(table)
    return all(sound for _, sound in shown)


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
