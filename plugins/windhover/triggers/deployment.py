"""Triggers that watch rollouts."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from include.contracts import RolloutRef


class RolloutTrigger(BaseTrigger):
    """Fire once, when the serving process has taken or refused a release."""

    def __init__(self, rollout: dict[str, Any], serving_uri: str, deadline: str, poke_interval: float) -> None:
        super().__init__()
        self.rollout = rollout
        self.serving_uri = serving_uri
        self.deadline = deadline
        self.poke_interval = poke_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{__name__}.RolloutTrigger", {
            "rollout": self.rollout,
            "serving_uri": self.serving_uri,
            "deadline": self.deadline,
            "poke_interval": self.poke_interval,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        from include.deployment.rollout import judge_rollout

        arguments = RolloutRef.model_validate(self.rollout), self.serving_uri, datetime.fromisoformat(self.deadline)
        while (report := await asyncio.to_thread(judge_rollout, *arguments)) is None:
            await asyncio.sleep(self.poke_interval)
        yield TriggerEvent(report.model_dump(mode="json"))
