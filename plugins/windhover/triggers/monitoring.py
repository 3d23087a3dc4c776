"""Triggers that watch a model in service."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from windhover.hooks.ledger import LedgerHook


class DriftTrigger(BaseTrigger):
    """Fire once, with the episode, when a project has one that nobody has answered.

    :param since: Instead, when one has opened from here on, whatever has become of it.
    """

    def __init__(self, project_name: str, poke_interval: float, since: datetime | None = None) -> None:
        super().__init__()
        self.project_name = project_name
        self.poke_interval = poke_interval
        self.since = since

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{__name__}.DriftTrigger", {
            "project_name": self.project_name,
            "poke_interval": self.poke_interval,
            "since": self.since,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        from include.monitoring.episodes import find_drift

        ledger = await asyncio.to_thread(LedgerHook().open_ledger)
        while (found := await asyncio.to_thread(find_drift, self.project_name, ledger, since=self.since)) is None:
            await asyncio.sleep(self.poke_interval)
        yield TriggerEvent(found.model_dump(mode="json"))
