from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from include.errors import ContractViolationError, NotCertifiedError, ServiceUnavailableError
from include.ledger.audit import head_address, verify_chain
from include.ledger.models import find_alias, find_model_version
from include.registry import register
from include.registry.certificate import issue_certificate
from include.registry.model_card import card_address
from include.registry.register import register_model
from include.storage import digest_bytes
from include.tracking import ERASED_TAG, KEY_TAG
from include.vision.certificates import certificate_address


@pytest.fixture
def register_it(quick_project, store, ledger, tracking):
    return lambda decision: register_model(decision, quick_project, store, ledger, tracking)


def list_versions(tracking, project):
    with tracking.connect() as client:
        return client.search_model_versions(f"name = '{project.name}'")


def test_a_promoted_model_gets_version_alias_tags_and_card(
    register_it, decide, quick_project, tracking, ledger, store, read_alias
):
    decision = decide()
    version = register_it(decision)
    model = decision.candidate.model
    (stored,) = list_versions(tracking, quick_project)
    assert (version.model, version.version, version.accuracy) == (model, 1, 0.99)
    assert (stored.run_id, stored.status) == (model.run_id, "READY")
    assert stored.source.endswith("/model")
    assert stored.tags[KEY_TAG] == model.key
    assert stored.tags["windhover.dataset"] == model.dataset.digest
    assert stored.tags["windhover.decision"] == "promote: accuracy 0.9900 is enough"
    assert find_model_version(ledger, quick_project.name, key=model.key) == version
    assert (find_alias(ledger, quick_project.name, "candidate"), read_alias("candidate")) == (1, "1")
    assert store.exists(card_address(version))


def test_a_model_that_learned_from_what_was_erased_says_so_in_its_version(register_it, decide, quick_project, tracking):
    decision = decide()
    with tracking.connect() as client:
        client.set_tag(decision.candidate.model.run_id, ERASED_TAG, "request 17")
    register_it(decision)
    assert list_versions(tracking, quick_project)[0].tags[ERASED_TAG] == "request 17"


def test_a_retry_finds_the_version(register_it, decide, quick_project, tracking):
    assert register_it(decide()) == register_it(decide())
    assert len(list_versions(tracking, quick_project)) == 1


def test_attempts_at_once_make_one_version(register_it, decide, quick_project, tracking):
    decision = decide()
    with ThreadPoolExecutor(4) as pool:
        versions = set(pool.map(lambda _: register_it(decision).version, range(4)))
    assert versions == {1}
    assert len(list_versions(tracking, quick_project)) == 1


def test_different_models_at_once_get_a_version_each(register_it, decide, quick_project, tracking, ledger, store):
    decisions = [decide(name) for name in "abcab"]
    with ThreadPoolExecutor(5) as pool:
        versions = [version.version for version in pool.map(register_it, decisions)]
    assert versions[:2] == versions[3:]
    assert sorted(set(versions)) == [1, 2, 3]
    stored = list_versions(tracking, quick_project)
    assert sorted((int(version.version), version.status) for version in stored) == [(n, "READY") for n in (1, 2, 3)]
    chain, sealed = verify_chain(ledger, quick_project.name, store)
    assert sorted(entry.kind for entry in chain) == ["alias"] * 3 + ["registration"] * 3
    assert sealed == 6


def test_different_models_get_versions_in_turn(register_it, decide, read_alias):
    assert [register_it(decide(name)).version for name in ("a", "b", "a")] == [1, 2, 1]
    assert read_alias("candidate") == "2"


@pytest.mark.parametrize(
    "step",
    ["issue_certificate", "write_model_card", "move_alias", "mirror_aliases", "record_model_version", "seal_chain"],
)
def test_a_crash_at_any_step_is_completed_by_the_retry(
    register_it, decide, quick_project, tracking, store, monkeypatch, step, read_alias
):
    def crash(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(register, step, crash)
        with pytest.raises(KeyboardInterrupt):
            register_it(decide())
    version = register_it(decide())
    assert [int(stored.version) for stored in list_versions(tracking, quick_project)] == [version.version] == [1]
    assert read_alias("candidate") == "1"
    assert store.exists(card_address(version))


def test_a_surplus_version_of_a_resent_request_is_removed(register_it, decide, quick_project, tracking, create_version):
    model = decide().candidate.model
    for _ in range(2):
        create_version(model, **{KEY_TAG: model.key})
    assert register_it(decide()).version == 1
    assert len(list_versions(tracking, quick_project)) == 1


def test_a_version_that_a_killed_attempt_still_got_is_removed(
    register_it, decide, quick_project, tracking, create_version
):
    """MLflow finishes a request whose sender is dead, if need be after somebody else has registered the model."""
    version = register_it(decide())
    create_version(version.model, **{KEY_TAG: version.model.key})
    assert register_it(decide()) == version
    assert [int(stored.version) for stored in list_versions(tracking, quick_project)] == [1]


def test_an_attempt_whose_lock_was_lost_registers_nothing_twice(
    register_it, decide, quick_project, tracking, ledger, store, monkeypatch
):
    """As when PostgreSQL is restarted: another attempt gets the lock while the first one still works."""
    decision, found = decide(), []

    def lose_lock(*arguments):
        monkeypatch.setattr(register, "issue_certificate", issue_certificate)
        with ledger.begin() as connection:
            holders = sa.text("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
            assert len(connection.execute(holders).all()) == 1
        found.append(register_it(decision))
        return issue_certificate(*arguments)

    monkeypatch.setattr(register, "issue_certificate", lose_lock)
    with pytest.raises(ServiceUnavailableError, match=r"the ledger at .* does not answer"):
        register_it(decision)
    assert [register_it(decision)] == found
    assert len(list_versions(tracking, quick_project)) == 1
    chain, _ = verify_chain(ledger, quick_project.name, store)
    assert [entry.kind for entry in chain] == ["alias", "registration"]


def test_a_rejected_model_is_refused(register_it, decide, quick_project, tracking):
    with pytest.raises(NotCertifiedError, match=r"accuracy 0\.1 < 0\.9"):
        register_it(decide(verdict="reject", reasons=("accuracy 0.1 < 0.9",)))
    assert list_versions(tracking, quick_project) == []


def test_a_dead_mlflow_registers_nothing(decide, quick_project, store, ledger, dead_tracking):
    decision = decide()
    with pytest.raises(ServiceUnavailableError, match=dead_tracking.uri):
        register_model(decision, quick_project, store, ledger, dead_tracking)
    assert find_model_version(ledger, quick_project.name, key=decision.candidate.model.key) is None


def test_what_the_chain_says_of_a_registration(decide, quick_project, store, ledger, tracking):
    version = register_model(decide(), quick_project, store, ledger, tracking, who="run 1")
    (named, entry), sealed = verify_chain(ledger, quick_project.name, store)
    assert (named.kind, named.who, sealed) == ("alias", "run 1", 2)
    signed = store.read(certificate_address(quick_project.name, 1))
    assert (entry.who, entry.why) == ("run 1", "accuracy 0.9900 is enough")
    assert entry.payload == {"version": 1, "model": version.model.key, "certificate": digest_bytes(signed)}


def test_nothing_is_registered_on_a_chain_that_was_tampered_with(register_it, decide, quick_project, store, ledger):
    register_it(decide("a"))
    store.remove(head_address(quick_project.name))
    with pytest.raises(ContractViolationError, match="audit chain of"):
        register_it(decide("b"))
    assert find_model_version(ledger, quick_project.name, version=2) is None
