import pytest

from include.data.sources.videos import is_video, name_frame, read_frame


def test_a_video_is_known_by_its_name():
    assert [name for name in ("a.mp4", "b/C.MOV", "d.mp4.png", "mp4", "e.png") if is_video(name)] == [
        "a.mp4",
        "b/C.MOV",
    ]


def test_a_frames_name_says_whose_and_when_and_sorts_by_time():
    names = [f"walks/a.mp4/{name_frame(time)}" for time in (0, 999, 1000, 3_600_000)]
    assert names == sorted(names)
    assert [read_frame(name) for name in names] == [("walks/a.mp4", time) for time in (0, 999, 1000, 3_600_000)]


@pytest.mark.parametrize("name", ["a.mp4", "a/000001000.png", "a.mp4/one.png", "a.mp4/.png", "a.mp4/²²²²²²²²².png", ""])
def test_other_names_are_no_frames(name):
    assert read_frame(name) is None
