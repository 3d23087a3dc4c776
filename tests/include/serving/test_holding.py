import threading

import numpy as np
import pytest

from include.contracts import ReleasePlan
from include.serving import holding as holding_module
from include.serving.copies import BundleCopies
from include.serving.holding import ReleaseHolder, ReleaseName


@pytest.fixture
def told():
    return []


@pytest.fixture
def holder(tmp_path, store, told):
    holder = ReleaseHolder(BundleCopies(tmp_path / "copies", store), told.append)
    yield holder
    holder.close()


@pytest.fixture
def make_plan(make_release):
    """A plan of releases by version; odd golden answers make a release that lies."""

    def make(champion: int, candidate: int | None = None, *, lies: bool = False) -> ReleasePlan:
        releases = {"champion": make_release(champion, answers=np.eye(10)[9] if lies else None)}
        if candidate:
            releases["candidate"] = make_release(candidate)
        return ReleasePlan(project="digits", revision=1, **releases)

    return make


def load(holder, plan):
    holder.load(plan)
    holder.wait()


def test_nothing_is_decided_before_everything_is_loaded(holder, make_plan, told):
    plan = make_plan(1, 2)
    assert holder.find(plan) is None
    load(holder, plan)
    models = holder.find(plan)
    assert [models[release.digest].release for release in plan.releases] == list(plan.releases)
    assert told == ["digits", "digits"]
    assert set(holder.list_held()) == {ReleaseName("digits", release.digest) for release in plan.releases}


def test_a_model_is_loaded_once_however_often_it_is_wanted(holder, make_plan, told):
    plan = make_plan(1)
    for _ in range(3):
        load(holder, plan)
    assert told == ["digits"]


def test_a_release_that_is_being_loaded_is_not_begun_again(holder, make_plan, told, monkeypatch):
    finish, begun = threading.Event(), []
    original = BundleCopies.load
    monkeypatch.setattr(
        BundleCopies,
        "load",
        lambda self, release: begun.append(release) or (finish.wait(30) and original(self, release)),
    )
    plan = make_plan(1)
    for _ in range(5):
        holder.load(plan)
    finish.set()
    holder.wait()
    assert len(begun) == 1


def test_a_rejected_release_is_tried_again_only_later(holder, make_plan, told, monkeypatch):
    plan = make_plan(1, lies=True)
    for _ in range(3):
        load(holder, plan)
    assert told == ["digits"]
    assert holder.find(plan) == {}
    assert "golden/000.png" in holder.list_rejected()["digits", plan.champion.digest]
    monkeypatch.setattr(holding_module, "RETRY_SECONDS", 0.0)
    holder.pardon(plan)
    assert holder.list_rejected() == {}
    for _ in range(2):
        load(holder, plan)
    assert told == ["digits"] * 3


def test_a_repaired_release_comes_up_by_itself(holder, make_plan, store, tmp_path, monkeypatch):
    monkeypatch.setattr(holding_module, "RETRY_SECONDS", 0.0)
    plan = make_plan(1)
    aside = store.fetch(plan.champion.address).rename(tmp_path / "aside")
    load(holder, plan)
    assert holder.find(plan) == {}
    store.publish_folder(aside, plan.champion.address)
    load(holder, plan)
    assert holder.find(plan)[plan.champion.digest].release == plan.champion
    assert holder.list_rejected() == {}


def test_what_no_plan_needs_is_let_go_of(holder, make_plan, tmp_path):
    old, new = make_plan(1), make_plan(2)
    for plan in (old, new):
        load(holder, plan)
    holder.keep_only([new])
    assert holder.find(old) is None
    assert [name.digest for name in holder.list_held()] == [new.champion.digest]
    assert not (tmp_path / "copies" / old.champion.address).exists()
