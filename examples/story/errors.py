"""Why a step of the story did not happen."""


class StoryError(Exception):
    """A step did not happen as told; the message says which, and where to look."""
