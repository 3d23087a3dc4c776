import json
import os
import signal
import subprocess
import sys

import pytest
import sqlalchemy as sa
import torch

from include.contracts import ReleaseRef
from include.errors import ArtifactNotFoundError, ContractViolationError, LeaseHeldError
from include.ledger.audit import verify_chain
from include.ledger.holds import hold_version, release_hold
from include.ledger.leases import hold_lease
from include.ledger.models import find_alias
from include.ledger.releases import record_release
from include.ledger.retirements import list_retirements
from include.ledger.tables import model_versions
from include.project import DeploymentPolicy, RegistryPolicy
from include.registry import bundles, retirement
from include.registry.aliases import crown_champion, mirror_aliases
from include.registry.bundles import check_bundle
from include.registry.model_card import card_address
from include.registry.register import register_model
from include.registry.retirement import retire_model, retire_models
from include.settings import REPOSITORY
from include.storage import digest_bytes
from include.tracking import MODEL_FOLDER
from include.vision.graphs import graph_address
from include.vision.networks import build_classifier
from include.vision.weights import save_classifier

LESS = DeploymentPolicy(golden_images=2)
KILLED = """
import os, signal, sys
from include.ledger import Ledger
from include.project import Project
from include.registry import retirement
from include.storage import Store
from include.tracking import Tracking

project, store, uri, mlflow, step = sys.argv[1:]
setattr(retirement, step, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
places = Project.model_validate_json(project), Store(store), Ledger(uri), Tracking(mlflow)
retirement.retire_model(1, *places, holder="cli", who="ana", why="replaced")
"""


@pytest.fixture
def retire(registry):
    def ask(version, holder="cli"):
        return retire_model(version, *registry.places, holder, who="ana", why="replaced")

    return ask


@pytest.fixture
def sweep(registry):
    policy = RegistryPolicy(keep_versions=2)
    places = registry.project.model_copy(update={"registry": policy}), *registry.places[1:]
    return lambda: [one.version for one in retire_models(*places, "digits.maintain_platform/weekly")]


@pytest.fixture
def make_old(registry):
    """Let versions have been registered long ago."""

    def age(*versions):
        mine = sa.update(model_versions).where(model_versions.c.version.in_(versions))
        with registry.ledger.begin() as connection:
            connection.execute(mine.values(recorded_at=sa.text("now() - interval '400 days'")))

    return age


def list_kinds(registry):
    return [entry.kind for entry in verify_chain(registry.ledger, registry.name, registry.store)[0]]


def read_version(registry, number):
    with registry.tracking.connect() as client:
        return client.get_model_version(registry.name, str(number))


def test_of_a_retired_version_its_bundle_and_tombstone_are_left(registry, retire):
    first, second = registry.register("a"), registry.register("b")
    release = ReleaseRef(model=first, address="x", digest=digest_bytes(b"release"), parity=0.0)
    record_release(registry.ledger, release)
    folder = f"{registry.name}/releases/{release.digest.removeprefix('sha256:')}"
    registry.store.write(f"{folder}/model.onnx", b"graph")
    with registry.tracking.connect() as client:
        client.set_registered_model_alias(registry.name, "favourite", "1")

    tombstone = retire(1)

    assert list_retirements(registry.ledger, registry.name) == [tombstone]
    assert (tombstone.retired_by, tombstone.reason, tombstone.model_key) == ("ana", "replaced", first.model.key)
    assert tombstone.removed_at >= tombstone.retired_at
    report = check_bundle(registry.name, 1, registry.store)
    assert (report.bundle, report.identical, report.difference) == (tombstone.bundle, True, 0.0)
    assert not registry.store.exists(folder)
    assert [registry.tracking.holds_model(one.model) for one in (first, second)] == [False, True]
    with registry.tracking.connect() as client:
        assert client.get_registered_model(registry.name).aliases == {"candidate": "2"}
        assert client.get_run(first.model.run_id).info.lifecycle_stage == "active"
        assert [file.path for file in client.list_artifacts(first.model.run_id)] == ["model_card"]
    assert read_version(registry, 1).tags["windhover.retired"].endswith(f"replaced; see {tombstone.address}")
    assert registry.store.exists(card_address(first))
    assert list_kinds(registry)[-1] == "retirement"


def test_retiring_again_changes_nothing(registry, retire):
    registry.register("a")
    registry.register("b")
    tombstone, kinds = retire(1), list_kinds(registry)
    bundle = registry.read_tree(tombstone.address)
    assert retire(1, holder="another") == tombstone
    assert (registry.read_tree(tombstone.address), list_kinds(registry)) == (bundle, kinds)


def test_a_graph_goes_unless_another_version_has_the_same_weights(registry, decide, retire, graph, tmp_path):
    first, second = registry.register("a"), registry.register("b")
    assert first.model.weights == second.model.weights
    decision = decide("c")
    torch.manual_seed(2)
    classifier, settings = build_classifier(registry.project.training, 10), registry.project.training
    weights = save_classifier(classifier, settings, registry.project.classes, tmp_path)
    model = decision.candidate.model.model_copy(update={"weights": weights})
    with registry.tracking.connect() as client:
        client.log_artifacts(model.run_id, str(tmp_path), MODEL_FOLDER)
    registry.store.write(graph_address(model), graph)
    candidate = decision.candidate.model_copy(update={"model": model})
    register_model(decision.model_copy(update={"candidate": candidate}), *registry.places)
    retire(1)
    assert registry.store.exists(graph_address(first.model))
    retire(2)
    assert not registry.store.exists(graph_address(first.model))
    assert registry.store.exists(graph_address(model))


def test_the_candidate_that_retires_hands_its_name_on(registry, retire):
    registry.register("a")
    registry.register("b")
    retire(2)
    assert find_alias(registry.ledger, registry.name, "candidate") == 1
    mirror_aliases(registry.name, registry.ledger, registry.tracking)
    with pytest.raises(ContractViolationError, match=r"version 1 is the only one that digits_.* has"):
        retire(1)
    assert registry.store.list(f"{registry.name}/archive/1") == []


def test_the_champion_and_what_is_held_stay_whole(registry, retire):
    first, second = registry.register("a"), registry.register("b")
    crown_champion(second, registry.ledger, registry.tracking, "healthy")
    with pytest.raises(ContractViolationError, match=r"version 2 of digits_.* is champion"):
        retire(2)
    hold_version(registry.ledger, registry.name, 1, "ben", "claim 4711")
    with pytest.raises(ContractViolationError, match="held by ben"):
        retire(1)
    assert registry.store.list(f"{registry.name}/archive") == []
    assert registry.tracking.holds_model(first.model)
    release_hold(registry.ledger, registry.name, 1, "ben", "settled")
    assert retire(1).version == 1


def test_a_hold_that_comes_while_the_bundle_is_sealed_saves_the_original(registry, retire, monkeypatch):
    version = registry.register("a")
    registry.register("b")

    def seal_slowly(*places):
        report = bundles.seal_bundle(*places)
        hold_version(registry.ledger, registry.name, 1, "ben", "claim")
        return report

    monkeypatch.setattr(retirement, "seal_bundle", seal_slowly)
    with pytest.raises(ContractViolationError, match="held by ben"):
        retire(1)
    assert registry.tracking.holds_model(version.model)
    assert list_retirements(registry.ledger, registry.name) == []
    assert "retirement" not in list_kinds(registry)


def test_what_is_not_there_or_has_no_reason_is_refused(registry):
    registry.register("a")
    with pytest.raises(ArtifactNotFoundError, match="no certified version 7"):
        retire_model(7, *registry.places, "cli", who="ana", why="old")
    with pytest.raises(ContractViolationError, match="give one"):
        retire_model(1, *registry.places, "cli", who="ana", why="  ")
    with hold_lease(registry.ledger, f"{registry.name}/retirement", "other"), pytest.raises(LeaseHeldError):
        retire_model(1, *registry.places, "cli", who="ana", why="old")


@pytest.mark.timeout(240)
@pytest.mark.parametrize("step", ["record_retirement", "_remove_weights"])
def test_a_killed_retirement_is_completed_by_the_next_sweep(registry, retire, sweep, make_old, ledger_uri, step):
    version = registry.register("a")
    registry.register("b")
    arguments = [registry.project.model_dump_json(), registry.store.root, ledger_uri, registry.tracking.uri, step]
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, *arguments], cwd=REPOSITORY, env=os.environ, check=False, timeout=200
    )
    assert ended.returncode == -signal.SIGKILL
    buried = step != "record_retirement"
    assert bool(list_retirements(registry.ledger, registry.name)) is buried

    with registry.ledger.begin() as connection:
        connection.execute(sa.text("UPDATE leases SET expires_at = now() - interval '1 second'"))
    assert (sweep() if buried else [retire(1).version]) == [1]

    (tombstone,) = list_retirements(registry.ledger, registry.name)
    assert (tombstone.retired_by, tombstone.reason) == ("ana", "replaced")
    assert tombstone.removed_at is not None
    assert check_bundle(registry.name, 1, registry.store).bundle == tombstone.bundle
    assert not registry.tracking.holds_model(version.model)
    assert list_kinds(registry).count("retirement") == 1
    assert sweep() == []


def test_the_sweep_retires_what_is_old_and_one_that_cannot_go_keeps_no_other(registry, sweep, make_old):
    versions = [registry.register(model) for model in "abcd"]
    make_old(1, 2, 3)
    registry.store.remove(card_address(versions[0]))
    with pytest.raises(ContractViolationError, match=r"1 version\(s\) of digits_.* stay: version 1: nothing at .*card"):
        sweep()
    assert [one.version for one in list_retirements(registry.ledger, registry.name)] == [2]
    assert registry.tracking.holds_model(versions[0].model)


def test_the_bundle_holds_the_weights_that_were_certified(registry, retire):
    version = registry.register("a")
    registry.register("b")
    address = retire(1).address
    document = json.loads(registry.store.read(f"{address}/bundle.json"))["document"]
    assert document["weights"] == version.model.weights == document["files"]["model/weights.safetensors"]
    assert digest_bytes(registry.store.read(f"{address}/model/weights.safetensors")) == version.model.weights


def test_a_bundle_that_was_exchanged_or_damaged_removes_no_original(registry, retire, monkeypatch):
    version = registry.register("a")
    registry.register("b")

    def seal_and_damage(*places):
        report = bundles.seal_bundle(*places)
        registry.store.write(f"{registry.name}/archive/1/model.onnx", b"damaged")
        return report

    monkeypatch.setattr(retirement, "seal_bundle", seal_and_damage)
    with pytest.raises(ContractViolationError, match=r"was changed: model\.onnx"):
        retire(1)
    assert registry.tracking.holds_model(version.model)
    registry.store.remove(f"{registry.name}/archive/1")
    bundles.seal_bundle(version, registry.project.model_copy(update={"deployment": LESS}), *registry.places[1:])
    with pytest.raises(ContractViolationError, match="it was exchanged; restore it"):
        retire(1)
    assert registry.tracking.holds_model(version.model)
    registry.store.remove(f"{registry.name}/archive/1")
    bundles.seal_bundle(version, *registry.places)
    assert retire(1).removed_at is not None
