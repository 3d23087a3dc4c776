import os
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from include.data.delivery import UnfitFileError, read_delivery
from include.errors import DataQualityError
from include.vision.decoding import RejectedImageError


@pytest.fixture
def day(make_day):
    return make_day(images=2)


def reason(delivery, name, max_bytes=10_000):
    with pytest.raises(UnfitFileError) as raised:
        delivery.read_image(name, max_bytes)
    return raised.value.reason


def test_joins_what_is_delivered_listed_and_labelled(day):
    (day.folder / "images" / "unlisted.png").write_bytes(b"x")
    day.add("absent.png", None).close()
    delivery = read_delivery(day.folder)
    assert delivery.names == ("absent.png", "shot-0000.png", "shot-0001.png", "unlisted.png")
    assert set(delivery.shots) == set(delivery.names) - {"unlisted.png"}
    assert set(delivery.labels) == {"shot-0000.png", "shot-0001.png"}


def test_labels_that_come_later_move_no_file_to_another_place(day):
    labels, day.labels = day.labels, []
    before = read_delivery(day.close().folder)
    assert before.labels == {}
    day.labels = [*labels, ("a-first-by-name.png", "1", "2026-11-03T00:00:00Z")]
    after = read_delivery(day.close().folder)
    assert after.names == (*before.names, "a-first-by-name.png")


def test_a_time_without_zone_is_utc_and_one_with_a_zone_keeps_its_moment(day):
    name = day.manifest[0][0]
    for text, zone in (("2026-11-02T08:30:00", UTC), ("2026-11-02T08:30:00+02:00", timezone(timedelta(hours=2)))):
        day.manifest[0] = (name, text, "g")
        shot = read_delivery(day.close().folder).shots[name]
        assert shot.captured_at == datetime(2026, 11, 2, 8, 30, tzinfo=zone)


def test_two_spellings_of_a_file_are_one_file(day):
    day.manifest[0] = ("./shot-0000.png", *day.manifest[0][1:])
    assert read_delivery(day.close().folder).names == ("shot-0000.png", "shot-0001.png")
    day.manifest.append(("x//../shot-0000.png", *day.manifest[0][1:]))
    assert reason(read_delivery(day.close().folder), "x//../shot-0000.png") == "unsafe_path"
    day.manifest[-1] = ("shot-0000.png", *day.manifest[0][1:])
    with pytest.raises(DataQualityError, match=r"line 4: 'shot-0000\.png' is listed already in line 2"):
        read_delivery(day.close().folder)


@pytest.mark.parametrize("group", ["a\x1fb", "a\x00", "a\x7f"])
def test_a_group_that_could_forge_a_digest_is_refused(day, group):
    day.manifest[0] = (*day.manifest[0][:2], group)
    with pytest.raises(DataQualityError, match=r"manifest\.csv, line 2: group .* holds control characters"):
        read_delivery(day.close().folder)


@pytest.mark.parametrize("name", ["../manifest.csv", "/etc/hostname", "", ".", "a/../../x", "a\nb.png", "\udcff.png"])
def test_a_name_that_is_no_place_inside_is_not_opened(day, name):
    assert reason(read_delivery(day.close().folder), name) == "unsafe_path"


def test_only_a_regular_file_reached_without_links_is_read(day, tmp_path):
    images = day.folder / "images"
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "1.png").write_bytes(b"secret")
    (images / "album").symlink_to(tmp_path / "outside")
    (images / "link.png").symlink_to(tmp_path / "outside" / "1.png")
    (images / "dangling.png").symlink_to(tmp_path / "nothing")
    os.mkfifo(images / "pipe.png")
    delivery = read_delivery(day.close().folder)
    for name in ("album/1.png", "link.png", "dangling.png", "pipe.png", "album", "shot-0000.png/1.png"):
        assert reason(delivery, name) == "unsafe_path", name


@pytest.mark.parametrize("name", ["gone.png", "gone/1.png", "x" * 300])
def test_a_file_that_is_not_there_is_missing(day, name):
    assert reason(read_delivery(day.close().folder), name) == "missing_file"


def test_a_file_as_large_as_allowed_is_read_and_a_larger_one_is_not(day):
    day.add("ten.bin", bytes(10)).close()
    delivery = read_delivery(day.folder)
    assert delivery.read_image("ten.bin", 10) == bytes(10)
    with pytest.raises(RejectedImageError, match="10 bytes, at most 9 are allowed"):
        delivery.read_image("ten.bin", 9)


def test_reading_leaves_no_file_open(day):
    (day.folder / "images" / "a").mkdir()
    delivery = read_delivery(day.add("a/1.png", b"x").close().folder)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for name in ("a/1.png", "shot-0000.png", "gone.png", "a"):
        try:
            delivery.read_image(name, 10_000)
        except UnfitFileError:
            continue
    assert len(list(Path("/proc/self/fd").iterdir())) == before
