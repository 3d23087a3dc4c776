"""Which days a play of the story happens on. Every play goes on where the last one stopped."""

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from examples.story.errors import StoryError

DAYS_PER_PLAY = 8
PLAYS = 6


@dataclass(frozen=True)
class Play:
    """One play: its number and its days, as partition keys."""

    number: int
    days: tuple[str, ...]


def begin_play(memory: Path) -> Play:
    """Take the next days of the calendar; a play that was interrupted keeps its days, and the next one starts after."""
    today = datetime.now(UTC).date()
    first = today - timedelta(days=PLAYS * DAYS_PER_PLAY)
    state = json.loads(memory.read_text()) if memory.exists() else {"first": first.isoformat(), "plays": 0}
    start = date.fromisoformat(state["first"]) + timedelta(days=DAYS_PER_PLAY * state["plays"])
    if start + timedelta(days=DAYS_PER_PLAY - 1) > today:
        raise StoryError(
            f"the camera has delivered up to today in {state['plays']} plays; "
            f"`make down`, remove {memory.parent} and run `make demo` to start afresh"
        )
    memory.write_text(json.dumps({"first": state["first"], "plays": state["plays"] + 1}))
    days = tuple((start + timedelta(days=offset)).isoformat() for offset in range(DAYS_PER_PLAY))
    return Play(state["plays"] + 1, days)
