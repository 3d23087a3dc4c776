"""What every contract is made of."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
PartitionKey = Annotated[
    str,
    Field(
        pattern=r"^(\d{4}-\d{2}-\d{2}|snapshot)$",
        description="One UTC day, `YYYY-MM-DD`, or `snapshot`: the whole of a source without days.",
    ),
]
QuarantineReason = Literal[
    "empty", "too_large_bytes", "not_an_image", "format_not_allowed", "too_many_pixels", "extreme_aspect", "truncated",
    "animated", "decoder_crashed", "decoder_timeout", "unsafe_path", "missing_file", "missing_from_manifest",
    "unknown_class", "ambiguous_label", "bad_checksum", "forbidden_target", "download_failed", "label_conflict",
    "failed_expectation", "forgotten",
]  # fmt: skip


class Contract(BaseModel):
    """Immutable, and strict about unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")
