import pickle

import pytest

from include.data.sources.names import UnfitFileError, check_name, check_size, is_hidden, is_safe


@pytest.mark.parametrize(
    "name", ["a.png", "a/b/c.png", "-a", "a b", "ü.png", "…", "...png", "a/.b/c", "a.", "名/一.png"]
)
def test_a_plain_path_is_safe(name):
    assert is_safe(name)
    check_name(name)


@pytest.mark.parametrize(
    "name", ["", "/", "/a", "a/", "a//b", ".", "./a", "..", "../a", "a/..", "a/../b", "a\n", "a\x00b", "\x7f", "\udc80"]
)
def test_a_way_out_or_a_control_character_is_not(name):
    assert not is_safe(name)
    with pytest.raises(UnfitFileError):
        check_name(name)


def test_a_dot_in_front_of_any_part_hides():
    assert [name for name in (".a", "a/.b", ".a/b", "a.b", "a/b.c") if is_hidden(name)] == [".a", "a/.b", ".a/b"]


def test_a_refusal_keeps_its_reason_on_the_way_between_processes():
    check_size(10, 10)
    with pytest.raises(UnfitFileError) as raised:
        check_size(11, 10)
    copy = pickle.loads(pickle.dumps(raised.value))  # noqa: S301 (our own bytes)
    assert (copy.reason, str(copy)) == ("too_large_bytes", "11 bytes, at most 10 are allowed")
