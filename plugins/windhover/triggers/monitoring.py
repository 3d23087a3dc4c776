"""Triggers that watch a model in service."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from windhover.hooks.ledger import LedgerHook


class DriftTrigger(BaseTrigger):
    """Fire once, with the episode, when a project has one that nobody has answered."""

    def __init__(self, project_name: str, poke_interval: float) -> None:
        super().__init__()
        self.project_name = project_name
        self.poke_interval = poke_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{__name__}.DriftTrigger", {"project_name": self.project_name, "poke_interval": self.poke_interval}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        from include.monitoring.episodes import find_drift

        ledger = await asyncio.to_thread(LedgerHook().open_ledger)
        while (found := await asyncio.to_thread(find_drift, self.project_name, ledger)) is None:
            await asyncio.sleep(self.poke_interval)
        yield TriggerEvent(found.model_dump(mode="json"))
