from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from include.data.sources.facts import Shot, date_frame, date_observation, name_group
from include.project import SourceConfig


@given(st.text(min_size=1), st.sampled_from(["", "(a)?b", r"([^/_]+)_[^/]*$", "()", "(x*)"]))
def test_every_image_has_a_group(name, pattern):
    assert name_group(SourceConfig(group_pattern=pattern), name)


def test_the_first_parentheses_name_the_group():
    source = SourceConfig(group_pattern=r"([^/_]+)_(\d+)[^/]*$")
    assert name_group(source, "ward/p7_03.png") == "p7"


def test_a_day_dates_what_it_brings_and_a_snapshots_files_have_their_own_time():
    assert date_observation("2026-11-02", 5.0) == datetime(2026, 11, 2, 23, 59, 59, 999_999, UTC)
    assert date_observation("snapshot", 5.0) == datetime(1970, 1, 1, 0, 0, 5, tzinfo=UTC)
    before = datetime.now(UTC)
    assert before <= date_observation("snapshot", None) <= datetime.now(UTC)


def test_a_frame_is_dated_within_its_clip_and_never_after_its_day():
    noon = datetime(2026, 11, 2, 12, tzinfo=UTC)
    assert date_frame(Shot(noon, "g"), 1500) == datetime(2026, 11, 2, 12, 0, 1, 500_000, UTC)
    end = date_observation("2026-11-02", None)
    assert date_frame(Shot(end, "g"), 1500) == end
