"""Say for people what of a window differs from the one before."""

import math
from collections.abc import Iterator

from include.contracts import FeatureProfileReport, ProfileReport

# Changes worth a line: of traffic and time as a ratio, of shares as a difference, of a mean in standard deviations
# (Cohen's medium effect), and none that chance alone would bring.
RATIO = 2.0
SHARE = 0.10
EFFECT = 0.5
ERRORS = 3.0


def describe_changes(before: ProfileReport | None, now: ProfileReport) -> tuple[str, ...]:
    """Compare a window with the one before it; the log of what changed in the data, batch by batch."""
    if before is None or now.address is None:
        return ()
    return tuple(_compare(before, now))


def _compare(before: ProfileReport, now: ProfileReport) -> Iterator[str]:
    if before.release != now.release:
        yield f"release {_short(now.release)} answers, not {_short(before.release)}"
    if _differs(before.per_minute, now.per_minute):
        yield f"{now.per_minute:,.0f} answers a minute, after {before.per_minute:,.0f}"
    slow_before, slow = before.latency_ms.get("p95"), now.latency_ms.get("p95")
    if slow_before and slow and _differs(slow_before, slow):
        yield f"95 of 100 answers take at most {slow:.3g} ms, after {slow_before:.3g} ms"
    for name in ("failed", "abstained"):
        if getattr(now, name) and not getattr(before, name):
            yield f"{getattr(now, name)} requests {name}, none before"
    counts = before.predictions, now.predictions
    yield from _compare_shares("format", before.formats, now.formats, *counts)
    yield from _compare_shares("class", before.mix, now.mix, *counts)
    known = {feature.feature: feature for feature in before.features}
    for feature in now.features:
        if feature.feature in known and _moved(known[feature.feature], feature, *counts):
            yield f"{feature.feature} is {feature.mean:.3g} on average, after {known[feature.feature].mean:.3g}"


def _compare_shares(
    kind: str, before: dict[str, float], now: dict[str, float], rows_before: int, rows_now: int
) -> Iterator[str]:
    for name in sorted(before.keys() | now.keys()):
        old, new = before.get(name, 0.0), now.get(name, 0.0)
        share = (old * rows_before + new * rows_now) / (rows_before + rows_now)
        error = math.sqrt(share * (1 - share) * (1 / rows_before + 1 / rows_now))
        if abs(new - old) > max(SHARE, ERRORS * error):
            yield f"{new:.0%} are of {kind} {name}, after {old:.0%}"


def _moved(before: FeatureProfileReport, now: FeatureProfileReport, rows_before: int, rows_now: int) -> bool:
    error = math.sqrt(before.deviation**2 / rows_before + now.deviation**2 / rows_now)
    moved = abs(now.mean - before.mean)
    return moved > max(EFFECT * before.deviation, ERRORS * error, 1e-9 * abs(before.mean))


def _differs(before: float, now: float) -> bool:
    return max(before, now) > RATIO * min(before, now)


def _short(digest: str | None) -> str:
    return (digest or "none").removeprefix("sha256:")[:12]
