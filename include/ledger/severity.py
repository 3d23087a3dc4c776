"""How bad an incident is: impact by urgency, as in the priority matrix of ITIL 4 (incident management, 2020)."""

from typing import get_args

from include.contracts import Level, Severity

LEVELS: tuple[Level, ...] = get_args(Level)
SEVERITIES: tuple[Severity, ...] = get_args(Severity)


def rate_severity(impact: Level, urgency: Level) -> Severity:
    """Return how bad it is: `critical` where both are high, one step less for every step either is lower."""
    steps = LEVELS.index(impact) + LEVELS.index(urgency)
    return SEVERITIES[min(steps, len(SEVERITIES) - 1)]
