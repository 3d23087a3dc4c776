"""Run triggers as the triggerer does: built anew from what they serialised to."""

import asyncio
from pydoc import locate
from typing import Any

from airflow.sdk.serde import deserialize, serialize
from airflow.triggers.base import BaseTrigger


def restore(trigger: BaseTrigger) -> BaseTrigger:
    """Send a trigger through the database."""
    path, arguments = trigger.serialize()
    kind: Any = locate(path)
    restored: BaseTrigger = kind(**deserialize(serialize(arguments)))
    assert restored.serialize() == (path, arguments)
    return restored


def fire(trigger: BaseTrigger, seconds: float = 10) -> Any:
    """Return the payload of a trigger's first event; it fails where none comes in time."""

    async def first() -> Any:
        return await asyncio.wait_for(anext(restore(trigger).run()), seconds)

    return asyncio.run(first()).payload
