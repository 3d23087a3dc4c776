import shutil

import numpy as np
import pytest

import include.serving.plan as plan_module
from include.ledger import Ledger
from include.ledger.releases import revert_rollout
from include.serving.plan import ServingPlan


@pytest.fixture
def store(any_store):
    return any_store


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "plan.json"


@pytest.fixture
def plan(ledger, store, cache):
    return ServingPlan(ledger, store, cache)


def test_serves_what_the_ledger_wants_and_remembers_it(plan, make_release, want, ledger, store, cache):
    release = make_release()
    want(release)
    plan.reconcile()
    assert plan.describe()["digits"].model_dump() == {
        "live": release.digest,
        "model_version": 1,
        "wanted": release.digest,
        "rejected": {},
        "source": "ledger",
    }
    heir = ServingPlan(Ledger("postgresql://nobody@127.0.0.1:1/none"), store, cache)
    heir.restore()
    heir.reconcile()
    assert heir.describe()["digits"].live == release.digest
    assert heir.describe()["digits"].source == "cache"


def test_wrong_golden_answers_reject_a_release(plan, make_release, want):
    good = make_release(1)
    bad = make_release(2, answers=np.eye(10)[3])
    want(good)
    plan.reconcile()
    want(bad)
    plan.reconcile()
    state = plan.describe()["digits"]
    assert (state.live, state.wanted) == (good.digest, bad.digest)
    assert "golden/000.png" in state.rejected[bad.digest]


def test_a_missing_release_is_rejected(plan, make_release, want, store):
    release = make_release()
    store.remove(release.address)
    want(release)
    plan.reconcile()
    assert "no release at" in plan.describe()["digits"].rejected[release.digest]
    assert plan.find_model("digits") is None


def test_a_repaired_release_comes_up_by_itself(plan, make_release, want, store, tmp_path, monkeypatch):
    monkeypatch.setattr(plan_module, "RETRY_SECONDS", 0.0)
    release = make_release()
    aside = shutil.copytree(store.fetch(release.address), tmp_path / "aside")
    store.remove(release.address)
    want(release)
    plan.reconcile()
    assert plan.find_model("digits") is None
    store.publish_folder(aside, release.address)
    plan.reconcile()
    state = plan.describe()["digits"]
    assert (state.live, state.rejected) == (release.digest, {})


def test_a_rejected_release_is_not_tried_at_every_poll(plan, make_release, want, store, monkeypatch):
    tried = []
    load = plan_module.load_model
    monkeypatch.setattr(plan_module, "load_model", lambda *args: tried.append(args) or load(*args))
    release = make_release()
    store.remove(release.address)
    want(release)
    for _ in range(5):
        plan.reconcile()
    assert len(tried) == 1


def test_a_rollback_returns_to_the_release_before_and_keeps_the_reason(plan, make_release, want, ledger):
    good, bad = make_release(1), make_release(2, answers=np.eye(10)[3])
    want(good)
    plan.reconcile()
    rollout = want(bad)
    plan.reconcile()
    revert_rollout(ledger, rollout, ["bad"])
    plan.reconcile()
    state = plan.describe()["digits"]
    assert (state.live, state.wanted, list(state.rejected)) == (good.digest, good.digest, [bad.digest])


def test_a_restart_with_a_bad_wanted_release_serves_the_remembered_one(plan, make_release, want, ledger, store, cache):
    good, bad = make_release(1), make_release(2, answers=np.eye(10)[3])
    want(good)
    plan.reconcile()
    want(bad)
    heir = ServingPlan(ledger, store, cache)
    heir.restore()
    heir.reconcile()
    assert heir.describe()["digits"].live == good.digest
    assert list(heir.describe()["digits"].rejected) == [bad.digest]


def test_a_project_nobody_wants_any_more_is_dropped(plan, make_release, want, ledger):
    rollout = want(make_release())
    plan.reconcile()
    revert_rollout(ledger, rollout, ["first and bad"])
    plan.reconcile()
    assert plan.describe() == {}


@pytest.mark.parametrize("content", [b"", b"[]", b'{"digits": {"digest": 1}}', b"\xff"])
def test_an_unreadable_cache_is_ignored(plan, cache, content):
    cache.write_bytes(content)
    plan.restore()
    assert plan.describe() == {}


def test_projects_do_not_hold_each_other_up(plan, make_release, want):
    bad = make_release(1, answers=np.eye(10)[5])
    good = make_release(2, name="defects")
    want(bad)
    want(good)
    plan.reconcile()
    assert plan.find_model("digits") is None
    assert plan.find_model("defects").release == good
