"""Triggers that watch rollouts."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from include.contracts import RolloutRef, RolloutReport
from include.errors import TransientError
from include.settings import load_settings
from windhover.hooks.ledger import LedgerHook


class RolloutTrigger(BaseTrigger):
    """Look at a rollout again and again, and fire once there is a verdict.

    Each look moves the traffic, on to the next step or back: harm is undone before this fires, and before any task of
    the run that waits for it has started.
    """

    def __init__(self, rollout: dict[str, Any], poke_interval: float) -> None:
        super().__init__()
        self.rollout = rollout
        self.poke_interval = poke_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{__name__}.RolloutTrigger", {"rollout": self.rollout, "poke_interval": self.poke_interval}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        watch = _Watch(RolloutRef.model_validate(self.rollout))
        while (report := await self._look(watch)) is None:
            await asyncio.sleep(self.poke_interval)
        yield TriggerEvent(report.model_dump(mode="json"))

    async def _look(self, watch: "_Watch") -> RolloutReport | None:
        try:
            return await asyncio.to_thread(watch.look)
        except TransientError as error:
            # Whoever cannot look cannot judge; the plan that is in force stays so, and the deadline goes on.
            self.log.warning("rollout %d: %s; looking again", watch.rollout.id, error)
            return None


class _Watch:
    """What is kept from look to look: the counts of the log's files that were read already."""

    def __init__(self, rollout: RolloutRef) -> None:
        self.rollout = rollout
        self._parts: tuple[Any, ...] | None = None

    def look(self) -> RolloutReport | None:
        # Imported in a thread, because the triggerer's other triggers go on meanwhile.
        from include.deployment.rollout import open_evidence, watch_rollout

        if self._parts is None:
            ledger, store = LedgerHook().open_ledger(), load_settings().open_store()
            self._parts = ledger, store, open_evidence(self.rollout, ledger, store)
        return watch_rollout(self.rollout, *self._parts)
