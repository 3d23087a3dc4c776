"""Names of delivered files, and what is wrong with some of them. Light: a trigger imports this at its top.

Whoever may write into a source may write anything there, so names are text until proven harmless.
"""

import re
from typing import Any

from include.contracts import QuarantineReason
from include.errors import DataQualityError

UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
# What nearly all names look like, known to be safe at one glance.
_PLAIN = re.compile(r"\w[\w.-]*(?:/\w[\w.-]*)*", re.ASCII)
_UNCLEAN_PARTS = {"", ".", ".."}


class UnfitFileError(DataQualityError):
    """One file of a delivery that cannot be accepted, with the reason."""

    def __init__(self, reason: QuarantineReason, message: str) -> None:
        super().__init__(message)
        self.reason: QuarantineReason = reason

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.reason, str(self))


def is_safe(name: str) -> bool:
    """Tell whether a name is a plain path that stays inside its folder."""
    if _PLAIN.fullmatch(name):
        return True
    return _UNCLEAN_PARTS.isdisjoint(name.split("/")) and not UNPRINTABLE.search(name)


def is_hidden(name: str) -> bool:
    """Tell whether a part of the name begins with a dot: an unfinished copy, or an editor's or system's own file."""
    return name.startswith(".") or "/." in name


def check_name(name: str) -> None:
    """Refuse a name that is no place inside its folder."""
    if not is_safe(name):
        raise UnfitFileError("unsafe_path", "the name leaves the delivery or holds control characters")


def check_size(size: int, max_bytes: int) -> None:
    """Refuse a file that is too large."""
    if size > max_bytes:
        raise UnfitFileError("too_large_bytes", f"{size} bytes, at most {max_bytes} are allowed")
