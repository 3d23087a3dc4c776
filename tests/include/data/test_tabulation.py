from datetime import UTC, datetime

import pytest

from include.data.chunks import Decoded, Refused
from include.data.delivery import Delivery, Label
from include.data.sources.facts import Shot
from include.data.sources.folders import open_folder
from include.data.tabulation import Tabulator, escape
from include.vision.fingerprints import fingerprint

EARLY, LATE = datetime(2026, 11, 2, 8, tzinfo=UTC), datetime(2026, 11, 5, tzinfo=UTC)


@pytest.fixture
def tabulator(project):
    """The second of two shards of six files, of which one was relabelled and one has no label."""
    delivery = Delivery(
        images=open_folder("/landing"),
        names=tuple("abcdef"),
        shots={name: Shot(EARLY, f"group-{name}", "ada" if name == "d" else None) for name in "abcdef"},
        labels={"b": (Label("1", EARLY), Label("7", LATE)), "d": (Label("2", EARLY),)},
        refused={},
        origin="/landing/",
        sources={"d": "https://images.example/d.jpg"},
    )
    return Tabulator(project, delivery, "2026-11-02", delivery.names[1::2], range(1, 6, 2))


def test_sound_files_meet_what_is_known_of_them(tabulator, digit_images):
    pixels = [image for image, _ in digit_images[:3]]
    count = len(pixels)
    decoded = Decoded(
        positions=[0, 1, 2],
        digests=["sha256:b", "sha256:d", "sha256:f"],
        images=[b"b", b"d", b"f"],
        originals=[None] * count,
        widths=[32] * count,
        heights=[16] * count,
        fingerprints=fingerprint(pixels),
    )
    rows = tabulator.tabulate(decoded).to_pylist()
    assert [row["source"] for row in rows] == ["/landing/b", "https://images.example/d.jpg", "/landing/f"]
    assert [row["place"] for row in rows] == [1, 3, 5]
    assert [(row["label"], row["known_at"]) for row in rows] == [("7", LATE), ("2", EARLY), (None, None)]
    assert [[entry["label"] for entry in row["labels"]] for row in rows] == [["1", "7"], ["2"], []]
    assert [row["subject"] for row in rows] == [None, "ada", None]
    assert [row["embedding"] for row in rows] == [one.tobytes() for one in decoded.fingerprints.embedding]
    assert [row["phash"] for row in rows] == decoded.fingerprints.phash.tolist()


def test_refused_files_say_where_they_come_from(tabulator):
    (row,) = tabulator.tabulate_refused([Refused(1, "truncated", "ends early \udcff", "sha256:x", b"x")]).to_pylist()
    assert (row["source"], row["place"], row["digest"]) == ("https://images.example/d.jpg", 3, "sha256:x")
    assert (row["reason"], row["detail"], row["original"]) == ("truncated", "ends early \\udcff", b"x")


def test_no_files_make_no_rows(tabulator):
    assert tabulator.tabulate(Decoded()).num_rows == tabulator.tabulate_refused([]).num_rows == 0


def test_only_what_is_no_unicode_is_escaped():
    assert [escape(text) for text in ("plain", "größe-写真", "bad-\udcff")] == ["plain", "größe-写真", "bad-\\udcff"]
