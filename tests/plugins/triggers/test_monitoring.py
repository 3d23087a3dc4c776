import asyncio

import pytest

from include.contracts import EpisodeReport
from include.errors import ServiceUnavailableError
from include.ledger.episodes import open_episode
from tests.plugins.samples import DRIFT
from tests.plugins.triggers.firing import fire, restore
from windhover.triggers.monitoring import DriftTrigger


def test_fires_once_an_episode_opens(ledger_connection):
    trigger = restore(DriftTrigger("digits", poke_interval=0.01))

    async def drift_late():
        waiting = asyncio.create_task(anext(trigger.run()))
        done, _ = await asyncio.wait({waiting}, timeout=0.2)
        assert not done
        await asyncio.to_thread(open_episode, ledger_connection, DRIFT)
        return await asyncio.wait_for(waiting, 10)

    assert EpisodeReport.model_validate(asyncio.run(drift_late()).payload).drift == DRIFT


def test_another_projects_episode_is_none_of_its_business(ledger_connection):
    open_episode(ledger_connection, DRIFT)
    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(anext(DriftTrigger("leaves", 0.01).run()), 0.2))


def test_a_dead_ledger_ends_the_watch_loudly(machine):
    with pytest.raises(ServiceUnavailableError):
        fire(DriftTrigger("digits", poke_interval=0.01))
