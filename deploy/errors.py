"""Why the stack could not do what it was asked, in one line for people."""

from include.errors import PermanentError


class StackError(PermanentError):
    """The embedded stack cannot start, or lost a part; the message says what to do."""
