"""Rows of the image store, for tests that need a dataset and not its making."""

from datetime import UTC, datetime

from include.storage import digest_bytes
from include.vision.decoding import encode_canonical
from include.vision.fingerprints import fingerprint

MOMENT = datetime(2026, 3, 1, 8, tzinfo=UTC)


def make_row(pixels, label, index, *, partition="2026-03-01", split="train", **changes):
    """Describe an image as ingestion does; each has a group of its own."""
    image, prints = encode_canonical(pixels), fingerprint([pixels])
    statistics = ("brightness", "contrast", "saturation", "sharpness")
    return {
        "digest": digest_bytes(image),
        "image": image,
        "original": None,
        "partition": partition,
        "group": f"specimen-{index}",
        "subject": None,
        "label": label,
        "known_at": MOMENT if label else None,
        "labels": [{"label": label, "known_at": MOMENT}] if label else [],
        "split": split,
        "source": f"{partition}/images/{index}.png",
        "observed_at": MOMENT,
        "width": pixels.shape[1],
        "height": pixels.shape[0],
        "phash": int(prints.phash[0]),
        "embedding": prints.embedding[0].tobytes(),
        **{name: float(getattr(prints, name)[0]) for name in statistics},
        **changes,
    }
