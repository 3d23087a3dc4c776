from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from include.data.splits import assign_split
from include.project import DataConfig

GROUPS = [f"specimen-{number:04d}" for number in range(4_000)]


def test_shares_hold_over_groups():
    counts = Counter(
        assign_split(group, DataConfig(validation_share=0.15, test_share=0.25), "digits") for group in GROUPS
    )
    assert abs(counts["test"] / len(GROUPS) - 0.25) < 0.03
    assert abs(counts["validation"] / len(GROUPS) - 0.15) < 0.03


def test_is_the_same_in_every_process_and_release():
    assert [assign_split(group, DataConfig(), "digits") for group in GROUPS[:6]] == [
        "test",
        "test",
        "train",
        "train",
        "test",
        "train",
    ]


def test_projects_split_independently():
    here, there = ([assign_split(group, DataConfig(), name) for group in GROUPS] for name in ("digits", "parts"))
    assert here != there


@given(st.text(min_size=1))
def test_takes_any_group_and_a_larger_test_share_takes_none_out_of_test(group):
    if assign_split(group, DataConfig(test_share=0.2), "digits") == "test":
        assert assign_split(group, DataConfig(test_share=0.3), "digits") == "test"


def test_nothing_is_held_out_when_nothing_shall_be():
    nothing = DataConfig(validation_share=0, test_share=0)
    assert {assign_split(group, nothing, "digits") for group in GROUPS} == {"train"}
