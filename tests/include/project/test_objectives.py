from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from include.project import ObjectivesPolicy, SilenceWindow


def test_only_what_is_promised_is_a_target():
    policy = ObjectivesPolicy(availability=0.999, latency=0, accuracy=0.9)
    assert policy.targets == {"availability": 0.999, "accuracy": 0.9}
    assert ObjectivesPolicy(availability=0, latency=0).targets == {}


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"availability": 1}, "less than 1"),
        ({"days": 1}, "greater than or equal to 7"),
        ({"when_exhausted": {"accuracy": "retrain"}}, "accuracy, of which nothing is promised"),
        ({"when_exhausted": {"latency": "retrain"}}, "retrain latency, which does not help"),
        ({"freshness": 0.9, "when_exhausted": {"freshness": "roll_back"}}, "roll_back freshness"),
        ({"when_exhausted": {"speed": "freeze"}}, "availability"),
    ],
)
def test_an_impossible_promise_is_refused(settings, complaint):
    with pytest.raises(ValidationError, match=complaint):
        ObjectivesPolicy.model_validate(settings)


@pytest.mark.parametrize(
    ("at", "end"),
    [
        (datetime(2026, 3, 6, 21, 59, tzinfo=UTC), None),
        (datetime(2026, 3, 6, 22, 0, tzinfo=UTC), datetime(2026, 3, 7, 6, 0, tzinfo=UTC)),
        (datetime(2026, 3, 7, 5, 59, tzinfo=UTC), datetime(2026, 3, 7, 6, 0, tzinfo=UTC)),
        (datetime(2026, 3, 7, 6, 0, tzinfo=UTC), None),
        (datetime(2026, 3, 7, 23, 0, tzinfo=UTC), None),
    ],
)
def test_a_silence_may_reach_into_the_next_day(at, end):
    friday_night = SilenceWindow(days=("fri",), start="22:00", end="06:00", reason="nobody is there")
    assert friday_night.find_end(at) == end
    assert friday_night.spare == "critical"
