"""Severity follows impact and urgency, and neither alone."""

import pytest

from include.ledger.severity import LEVELS, SEVERITIES, rate_severity


@pytest.mark.parametrize(
    ("impact", "urgency", "severity"),
    [
        ("high", "high", "critical"),
        ("high", "medium", "major"),
        ("medium", "high", "major"),
        ("medium", "medium", "minor"),
        ("high", "low", "minor"),
        ("low", "high", "minor"),
        ("low", "medium", "info"),
        ("low", "low", "info"),
    ],
)
def test_the_matrix(impact, urgency, severity):
    assert rate_severity(impact, urgency) == severity


def test_what_is_worse_in_one_way_is_never_rated_milder():
    for fixed in LEVELS:
        rated = [SEVERITIES.index(rate_severity(level, fixed)) for level in LEVELS]
        assert rated == sorted(rated)
        assert rated == [SEVERITIES.index(rate_severity(fixed, level)) for level in LEVELS]
