"""Why bytes that nobody vouches for are no acceptable image."""

from typing import Any, Literal

from include.errors import PermanentError

# Those of `include.contracts.QuarantineReason` that the bytes alone decide.
RejectionReason = Literal[
    "empty",
    "too_large_bytes",
    "not_an_image",
    "format_not_allowed",
    "too_many_pixels",
    "extreme_aspect",
    "truncated",
    "animated",
]


class RejectedImageError(PermanentError):
    """Bytes that are no acceptable image, with the reason."""

    def __init__(self, reason: RejectionReason, message: str) -> None:
        super().__init__(message)
        self.reason: RejectionReason = reason

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.reason, str(self))
