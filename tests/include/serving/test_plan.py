import socket
import threading
import time

import numpy as np
import pytest

import include.serving.holding as holding_module
import include.serving.plan as plan_module
from include.ledger import Ledger
from include.ledger.rollouts import revert_rollout
from include.serving.plan import ServingPlan
from include.storage import Store

NOBODY = "postgresql://nobody@127.0.0.1:1/none"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "replica"


@pytest.fixture
def make_plan(ledger, store, folder):
    """A serving plan over what the tests share, or over something that does not answer."""
    made = []

    def make(**others) -> ServingPlan:
        made.append(ServingPlan(**{"ledger": ledger, "store": store, "folder": folder, **others}))
        return made[-1]

    yield make
    for plan in made:
        plan._holder.close()


@pytest.fixture
def plan(make_plan):
    return make_plan()


def live(plan, project="digits"):
    """(revision, champion, candidate, previous) by version, as a request would meet them."""
    found = plan.find_live(project)
    return found and versions(found)


def versions(found):
    models = (found.champion, found.candidate, found.previous)
    return (found.plan.revision, *(model and model.manifest.model_version for model in models))


def test_follows_the_newest_plan_and_says_so(plan, make_release, follow):
    one, two, three = (make_release(version) for version in (1, 2, 3))
    follow(one)
    follow(two, three, previous=one, weight=0.25, shadow=0.5)
    plan.reconcile()
    assert live(plan) == (2, 2, 3, 1)
    assert plan.describe()["digits"].model_dump() == {
        "live": two.digest,
        "model_version": 2,
        "revision": 2,
        "candidate": three.digest,
        "previous": one.digest,
        "weight": 0.25,
        "shadow": 0.5,
        "wanted": two.digest,
        "wanted_revision": 2,
        "rejected": {},
        "source": "ledger",
    }


def test_remembers_without_ledger_and_store_what_it_followed(plan, make_plan, make_release, follow, tmp_path):
    one, two, three = (make_release(version) for version in (1, 2, 3))
    follow(two, three, previous=one, weight=0.25)
    plan.reconcile()
    heir = make_plan(ledger=Ledger(NOBODY), store=Store(str(tmp_path / "gone")))
    heir.restore()
    assert live(heir) == (1, 2, 3, 1)
    heir.reconcile()
    assert live(heir) == (1, 2, 3, 1)
    assert heir.find_live("digits").plan == plan.find_live("digits").plan
    assert heir.describe()["digits"].source == "cache"


def test_a_plan_change_needs_no_store_once_its_releases_are_held(plan, make_plan, make_release, follow, tmp_path):
    one, two = make_release(1), make_release(2)
    follow(two, previous=one)
    plan.reconcile()
    heir = make_plan(store=Store(str(tmp_path / "gone")))
    heir.restore()
    follow(one)
    heir.reconcile()
    assert live(heir) == (2, 1, None, None)
    assert heir.describe()["digits"].rejected == {}


def test_a_candidate_that_lies_keeps_the_last_good_plan(plan, make_release, follow):
    good, bad = make_release(1), make_release(2, answers=np.eye(10)[3])
    follow(good)
    plan.reconcile()
    follow(good, bad, weight=0.5)
    plan.reconcile()
    assert live(plan) == (1, 1, None, None)
    state = plan.describe()["digits"]
    assert (state.revision, state.wanted_revision) == (1, 2)
    assert "golden/000.png" in state.rejected[bad.digest]


def test_a_champion_that_lies_keeps_the_last_good_plan_and_its_weight(plan, make_release, follow):
    one, two, bad = make_release(1), make_release(2), make_release(3, answers=np.eye(10)[5])
    follow(one, two, weight=0.25)
    plan.reconcile()
    follow(bad, previous=one)
    plan.reconcile()
    assert live(plan) == (1, 1, 2, None)
    assert plan.find_live("digits").plan.weight == 0.25


def test_a_process_that_has_followed_nothing_yet_lets_the_champion_answer_alone(plan, make_release, follow):
    good, bad = make_release(1), make_release(2, answers=np.eye(10)[3])
    follow(good, bad, weight=0.5, shadow=1.0)
    plan.reconcile()
    assert live(plan) == (1, 1, None, None)
    followed = plan.find_live("digits").plan
    assert (followed.weight, followed.shadow) == (0, 0)
    assert list(plan.describe()["digits"].rejected) == [bad.digest]


def test_what_would_only_answer_in_need_may_be_missing(plan, make_release, follow, store):
    one, two = make_release(1), make_release(2)
    store.remove(one.address)
    follow(two, previous=one)
    plan.reconcile()
    assert live(plan) == (1, 2, None, None)
    assert "no release at" in plan.describe()["digits"].rejected[one.digest]


def test_a_missing_release_is_rejected_and_nothing_answers(plan, make_release, follow, store):
    release = make_release()
    store.remove(release.address)
    follow(release)
    plan.reconcile()
    assert live(plan) is None
    assert plan.projects == ["digits"]
    state = plan.describe()["digits"]
    assert (state.live, state.revision, state.wanted) == (None, None, release.digest)
    assert "no release at" in state.rejected[release.digest]


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


def test_a_release_that_is_named_again_is_tried_again_at_once(plan, make_release, follow, monkeypatch):
    tried = []
    load = holding_module.BundleCopies.load
    monkeypatch.setattr(
        holding_module.BundleCopies, "load", lambda self, release: tried.append(release) or load(self, release)
    )
    bad = make_release(1, answers=np.eye(10)[5])
    for tries in (1, 2):
        follow(bad)
        for _ in range(3):
            plan.reconcile()
        assert len(tried) == tries


def test_a_restart_with_a_bad_wanted_release_serves_the_remembered_one(plan, make_plan, make_release, want):
    good, bad = make_release(1), make_release(2, answers=np.eye(10)[3])
    want(good)
    plan.reconcile()
    want(bad)
    heir = make_plan()
    heir.restore()
    heir.reconcile()
    assert heir.describe()["digits"].live == good.digest
    assert list(heir.describe()["digits"].rejected) == [bad.digest]


def test_a_project_nobody_wants_any_more_is_dropped(plan, make_plan, make_release, want, ledger):
    rollout = want(make_release())
    plan.reconcile()
    revert_rollout(ledger, rollout, ["first and bad"])
    plan.reconcile()
    assert plan.describe() == {}
    heir = make_plan(ledger=Ledger(NOBODY))
    heir.restore()
    assert heir.describe() == {}


@pytest.mark.parametrize("content", [b"", b"[]", b'{"digits": {"revision": 1}}', b"\xff"])
def test_an_unreadable_cache_is_ignored(plan, folder, content):
    folder.mkdir()
    (folder / "plan.json").write_bytes(content)
    plan.restore()
    assert plan.describe() == {}


def test_a_copy_that_was_damaged_is_not_restored_but_copied_anew(plan, make_plan, make_release, follow, folder):
    release = make_release()
    follow(release)
    plan.reconcile()
    graph = folder / release.address / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"\0")
    heir = make_plan()
    heir.restore()
    assert live(heir) is None
    for _ in range(2):
        follow(release)
        heir.reconcile()
    assert live(heir)[1] == 1


def test_projects_do_not_hold_each_other_up(plan, make_release, follow):
    bad = make_release(1, answers=np.eye(10)[5])
    good = make_release(2, name="defects")
    follow(bad)
    follow(good)
    plan.reconcile()
    assert live(plan) is None
    assert plan.find_live("defects").champion.release == good


def test_a_release_that_loads_slowly_holds_up_no_plan_that_does_not_need_it(plan, make_release, follow, monkeypatch):
    one, two, slow = make_release(1), make_release(2), make_release(3)
    follow(two, previous=one)
    plan.reconcile()
    finish = threading.Event()
    load = holding_module.BundleCopies.load
    monkeypatch.setattr(
        holding_module.BundleCopies, "load", lambda self, release: finish.wait(30) and load(self, release)
    )
    follow(two, slow, previous=one)
    plan.look()
    assert live(plan) == (1, 2, None, 1)
    follow(one, weight=0)
    plan.look()
    assert live(plan) == (3, 1, None, None)
    finish.set()
    plan.reconcile()
    assert live(plan) == (3, 1, None, None)


def test_nobody_is_answered_by_what_was_left_before_a_restart(plan, make_plan, make_release, follow):
    one, two = make_release(1), make_release(2)
    follow(one)
    plan.reconcile()
    follow(two)
    heir = make_plan()
    heir.restore()
    assert live(heir) == (1, 1, None, None)
    heir.start()
    assert live(heir) == (2, 2, None, None)
    heir.stop()


def test_a_ledger_that_says_nothing_holds_no_start_up(plan, make_plan, make_release, follow, monkeypatch):
    monkeypatch.setattr(plan_module, "START_SECONDS", 0.1)
    follow(make_release())
    plan.reconcile()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        heir = make_plan(ledger=Ledger(f"postgresql://nobody@127.0.0.1:{silent.getsockname()[1]}/none"))
        heir.restore()
        began = time.monotonic()
        heir.start()
        assert time.monotonic() - began < 5
        assert live(heir) == (1, 1, None, None)
    heir.stop()


def test_a_way_back_waits_for_nothing(plan, make_release, follow, monkeypatch):
    """What is to answer is held; what would answer in need comes when it has been loaded."""
    one, two, three = (make_release(version) for version in (1, 2, 3))
    follow(three, previous=two)
    plan.reconcile()
    finish = threading.Event()
    load = holding_module.BundleCopies.load
    monkeypatch.setattr(
        holding_module.BundleCopies, "load", lambda self, release: finish.wait(30) and load(self, release)
    )
    follow(two, previous=one)
    plan.look()
    assert live(plan) == (2, 2, None, None)
    finish.set()
    plan.reconcile()
    assert live(plan) == (2, 2, None, 1)


def test_the_report_names_what_is_held_and_what_is_not(plan, make_release, follow, ledger):
    good, bad = make_release(1), make_release(2, answers=np.eye(10)[3])
    follow(good)
    plan.reconcile()
    follow(good, bad)
    follow(other := make_release(3, name="defects"))
    plan.reconcile()
    started = np.datetime64("2026-03-01T12:00").astype(object)
    report = plan.report("serving-1", "unix:/run/1", started)
    assert report.revisions == {"digits": 1, "defects": 1}
    assert report.held == {"digits": (good.digest,), "defects": (other.digest,)}
    assert list(report.rejected["digits"]) == [bad.digest]
    assert report.source == "ledger"


def test_whoever_asks_while_plans_flip_finds_a_plan_with_its_own_models(plan, make_release, follow):
    """Every state that threads see is one that the ledger held, models and all."""
    one, two = make_release(1), make_release(2)
    follow(one)
    plan.reconcile()
    seen, stop = [], threading.Event()

    def look() -> None:
        while not stop.wait(0.0005):
            seen.append(plan.find_live("digits"))

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    wanted = {(1, 1, None, None)}
    for revision in range(2, 12, 2):
        follow(two, previous=one)
        plan.look()
        follow(one, two, weight=0.5)
        plan.reconcile()
        wanted |= {(revision, 2, None, 1), (revision, 2, None, None), (revision + 1, 1, 2, None)}
    stop.set()
    for thread in threads:
        thread.join()
    assert seen
    for found in seen:
        assert versions(found) in wanted
        assert [model.release for model in found.models] == [
            release for release in (found.plan.champion, found.plan.candidate, found.plan.previous) if release
        ]
    assert live(plan) == (11, 1, 2, None)
