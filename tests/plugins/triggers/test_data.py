import asyncio

import pytest

from include.contracts import BatchRef
from include.errors import ArtifactNotFoundError
from tests.plugins.samples import BATCH, DAY
from tests.plugins.triggers.firing import fire, restore
from windhover.triggers.data import CompleteBatchTrigger


def make_trigger(project, landing):
    return CompleteBatchTrigger(project.model_dump(mode="json"), str(landing), DAY, poke_interval=0.01)


def test_fires_once_the_marker_is_there(project, tmp_path):
    images = tmp_path / "digits" / DAY / "images"
    images.mkdir(parents=True)
    for name in "abc":
        (images / f"{name}.png").touch()
    trigger = restore(make_trigger(project, tmp_path))

    async def deliver_late():
        waiting = asyncio.create_task(anext(trigger.run()))
        done, _ = await asyncio.wait({waiting}, timeout=0.1)
        assert not done
        (images.parent / "_SUCCESS").touch()
        return await asyncio.wait_for(waiting, 10)

    found = BatchRef.model_validate(asyncio.run(deliver_late()).payload)
    assert found == BATCH.model_copy(update={"uri": f"{tmp_path}/digits/{DAY}"})


def test_a_landing_folder_that_vanishes_ends_the_wait(project, tmp_path):
    with pytest.raises(ArtifactNotFoundError):
        fire(make_trigger(project, tmp_path / "gone"))
