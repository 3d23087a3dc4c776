"""Columns of the image store: one row per partition and image."""

import pyarrow as pa

IMAGES = pa.schema(
    [
        ("digest", pa.string()),  # SHA-256 of `image`, as sha256:<hex>
        ("image", pa.large_binary()),  # without metadata; PNG or JPEG, upright
        ("original", pa.large_binary()),  # as delivered, where the project keeps it
        ("partition", pa.string()),
        ("group", pa.string()),
        ("subject", pa.string()),  # who or what is shown, where the manifest says so; `forget` takes it
        ("label", pa.string()),  # the latest of `labels`
        ("known_at", pa.timestamp("us", tz="UTC")),  # since when `label` is known
        ("labels", pa.list_(pa.struct([("label", pa.string()), ("known_at", pa.timestamp("us", tz="UTC"))]))),
        ("split", pa.string()),
        ("source", pa.string()),  # file it was delivered as
        ("observed_at", pa.timestamp("us", tz="UTC")),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("phash", pa.int64()),  # 64-bit perceptual hash
        ("embedding", pa.binary(256)),  # 16 x 16 luma, uint8
        ("brightness", pa.float32()),
        ("contrast", pa.float32()),
        ("saturation", pa.float32()),
        ("sharpness", pa.float32()),
    ]
)
BYTES = ("image", "original")
MANIFEST_COLUMNS = [name for name in IMAGES.names if name not in BYTES]
