"""Whose turn a request is, and what else happens to it: drawn by hashes, the same in every process."""

import hashlib
from typing import Literal

from include.contracts import ReleasePlan

Turn = Literal["champion", "candidate"]


def choose_variant(plan: ReleasePlan, request_id: str, key: str | None) -> Turn:
    """Draw whose turn a request is; where the plan is sticky, by the caller's key.

    What is drawn stays the same for as long as the rollout lasts, so that who met the candidate at a small weight
    meets it at every larger one.
    """
    drawn_by = key if plan.sticky and key is not None else request_id
    return "candidate" if _draw("variant", plan.project, str(plan.rollout), drawn_by) < plan.weight else "champion"


def is_compared(plan: ReleasePlan, request_id: str) -> bool:
    """Draw whether both models are compared on a request."""
    return _draw("shadow", plan.project, request_id) < plan.shadow


def is_kept(plan: ReleasePlan, request_id: str) -> bool:
    """Draw whether the image of a request is kept."""
    return _draw("image", plan.project, request_id) < plan.recording.image_share


def digest_key(project: str, key: str) -> str:
    """Name a caller's key in the log without telling it; the same key has another name in another project."""
    return hashlib.blake2b(key.encode(errors="surrogatepass"), key=project.encode(), digest_size=16).hexdigest()


def _draw(*subject: str) -> float:
    """Return a number of [0, 1) that depends on nothing but its subject, and is spread evenly over subjects."""
    digest = hashlib.blake2b("\0".join(subject).encode(errors="surrogatepass"), digest_size=6).digest()
    return int.from_bytes(digest, "big") / 2**48
