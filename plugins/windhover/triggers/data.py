"""Triggers that watch for data."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from include.project import Project


class CompleteBatchTrigger(BaseTrigger):
    """Fire once, when the delivery of one partition is complete."""

    def __init__(self, project: dict[str, Any], landing: str, partition: str, poke_interval: float) -> None:
        super().__init__()
        self.project = project
        self.landing = landing
        self.partition = partition
        self.poke_interval = poke_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{__name__}.CompleteBatchTrigger", {
            "project": self.project,
            "landing": self.landing,
            "partition": self.partition,
            "poke_interval": self.poke_interval,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        from include.data.arrivals import find_complete_batch

        arguments = Project.model_validate(self.project), self.landing, self.partition
        while (batch := await asyncio.to_thread(find_complete_batch, *arguments)) is None:
            await asyncio.sleep(self.poke_interval)
        yield TriggerEvent(batch.model_dump(mode="json"))
