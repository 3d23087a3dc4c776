"""Why a step of the story did not happen."""


class StoryError(Exception):
    """A step did not happen as told; the message says which, and where to look."""


def require(happened: bool, what: str) -> None:
    """Stop the story when a step did not happen."""
    if not happened:
        raise StoryError(f"expected that {what}")
