"""Dataset versions written by hand, for what only reads them."""

from datetime import UTC, datetime, timedelta

import cv2
import lance
import numpy as np
import pyarrow as pa

from include.contracts import DatasetRef
from include.storage import digest_bytes
from include.vision.images import digest_rows
from include.vision.schema import IMAGES

DAY = "2026-11-02"
ADDRESS = "digits/images.lance"


def make_row(pixels, label="3", *, day=DAY, group=None, split="train", source=None, subject=None, image=None):
    """One row of the image store, its fingerprints roughly as ingestion computes them."""
    image = image or cv2.imencode(".png", pixels[..., ::-1])[1].tobytes()
    digest = digest_bytes(image)
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    low = cv2.dct(cv2.resize(grey, (32, 32)).astype(np.float32))[:8, :8].ravel()
    observed = datetime.fromisoformat(f"{day}T08:00:00").replace(tzinfo=UTC)
    known = observed + timedelta(hours=12) if label else None
    return {
        "digest": digest,
        "image": image,
        "original": None,
        "partition": day,
        "group": group or f"specimen-{digest[7:19]}",
        "subject": subject,
        "label": label,
        "known_at": known,
        "labels": [{"label": label, "known_at": known}] if label else [],
        "split": split,
        "source": source or f"{day}/images/{digest[7:19]}.png",
        "observed_at": observed,
        "width": pixels.shape[1],
        "height": pixels.shape[0],
        "phash": int(np.packbits(low > np.median(low)).view(np.int64)[0]),
        "embedding": cv2.resize(grey, (16, 16), interpolation=cv2.INTER_AREA).tobytes(),
        "brightness": float(grey.mean() / 255),
        "contrast": float(grey.std() / 255),
        "saturation": 0.0,
        "sharpness": float(cv2.Laplacian(grey / 255, cv2.CV_64F).var()),
    }


def write_version(store, rows, mode="create"):
    """Write rows as a dataset, or more rows as its next version."""
    table = pa.Table.from_pylist(rows, schema=IMAGES)
    dataset = lance.write_dataset(table, store.uri(ADDRESS), mode=mode)
    held = dataset.to_table(columns=["digest", "label", "group", "split", "partition"])
    return DatasetRef(
        project="digits",
        address=ADDRESS,
        version=dataset.version,
        digest=digest_rows(held),
        images=held.num_rows,
        labelled=held.num_rows - held["label"].null_count,
    )
