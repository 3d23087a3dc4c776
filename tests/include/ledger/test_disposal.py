from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from include.contracts import ModelVersionRef, ReleaseRef
from include.errors import ContractViolationError, StaleAttemptError
from include.ledger import Ledger
from include.ledger.datasets import list_used_versions
from include.ledger.disposal import (
    list_idle_versions,
    list_standing_versions,
    record_removal,
    record_retirement,
    require_disposable,
)
from include.ledger.holds import hold_version, list_holds
from include.ledger.leases import hold_lease
from include.ledger.models import move_alias, record_candidate, record_model_version
from include.ledger.releases import record_release
from include.ledger.retirements import find_retirement, list_retirements
from include.ledger.tables import model_versions
from include.storage import digest_bytes
from tests.rollouts import serve

BUNDLE = digest_bytes(b"bundle")


@pytest.fixture
def register(ledger: Ledger, make_model) -> Callable[..., ModelVersionRef]:
    """Record a version that was registered so many days ago."""

    def record(number: int, days: int = 0) -> ModelVersionRef:
        version = ModelVersionRef(model=make_model(f"model {number}"), version=number, accuracy=0.9)
        record_candidate(ledger, version.model)
        record_model_version(ledger, version)
        mine = sa.update(model_versions).where(model_versions.c.version == number)
        with ledger.begin() as connection:
            connection.execute(mine.values(recorded_at=sa.func.now() - sa.func.make_interval(0, 0, 0, days)))
        return version

    return record


@pytest.fixture
def retire(ledger: Ledger):
    def bury(version: ModelVersionRef):
        with hold_lease(ledger, "digits/retirement", "run") as lease:
            address = f"digits/archive/{version.version}"
            return record_retirement(ledger, version, BUNDLE, address, lease, "ana", "old")

    return bury


def package(ledger: Ledger, version: ModelVersionRef) -> ReleaseRef:
    digest = digest_bytes(f"release {version.version}".encode())
    release = ReleaseRef(model=version, address=f"digits/releases/{version.version}", digest=digest, parity=0.0)
    record_release(ledger, release)
    return release


def list_kinds(ledger: Ledger) -> list[str]:
    with ledger.begin() as connection:
        return list(connection.scalars(sa.text("SELECT kind FROM audit_entries ORDER BY sequence")))


def test_only_old_versions_that_nothing_needs_are_idle(ledger, register, retire):
    versions = {number: register(number, days=400 - number) for number in range(1, 11)}
    register(11, days=10)
    move_alias(ledger, "digits", "previous", expected=None, version=2, reason="r")
    move_alias(ledger, "digits", "champion", expected=None, version=3, reason="r")
    serve(ledger, package(ledger, versions[4]), "run 1")
    serve(ledger, package(ledger, versions[5]), "run 2")
    hold_version(ledger, "digits", 6, "ana", "claim")
    retire(versions[7])
    idle = list_idle_versions(ledger, "digits", keep=3, days=365)
    assert [one.version for one in idle] == [1, 8]
    assert list_idle_versions(ledger, "digits", keep=3, days=500) == []
    assert [one.version for one, _ in list_standing_versions(ledger, "digits")][:5] == [11, 10, 9, 8, 6]


@pytest.mark.parametrize("alias", ["champion", "previous"])
def test_a_named_version_stays(ledger, register, retire, alias):
    version = register(1)
    move_alias(ledger, "digits", alias, expected=None, version=1, reason="r")
    with pytest.raises(ContractViolationError, match=f"version 1 of digits is {alias}; promote and deploy another"):
        retire(version)
    assert list_retirements(ledger, "digits") == []
    register(2)
    move_alias(ledger, "digits", alias, expected=1, version=2, reason="r")
    require_disposable(ledger, "digits", 1)


def test_a_served_version_stays_and_one_to_return_to(ledger, register, retire):
    first, second, third = (register(number) for number in (1, 2, 3))
    serve(ledger, package(ledger, first), "run 1")
    serve(ledger, package(ledger, second), "run 2")
    for version in (first, second):
        with pytest.raises(ContractViolationError, match="in service, or next after a rollback"):
            retire(version)
    serve(ledger, package(ledger, third), "run 3")
    assert retire(first).releases == (digest_bytes(b"release 1"),)
    assert list_kinds(ledger).count("retirement") == 1


def test_the_tombstone_says_who_why_and_what_is_left(ledger, register, retire):
    version = register(1)
    tombstone = retire(version)
    assert list_retirements(ledger, "digits") == [tombstone] == [find_retirement(ledger, "digits", 1)]
    assert (tombstone.retired_by, tombstone.reason, tombstone.bundle) == ("ana", "old", BUNDLE)
    assert tombstone.removed_at is None
    record_removal(ledger, "digits", 1)
    removed = find_retirement(ledger, "digits", 1).removed_at
    record_removal(ledger, "digits", 1)
    assert find_retirement(ledger, "digits", 1).removed_at == removed >= tombstone.retired_at
    assert list_standing_versions(ledger, "digits") == []
    assert list_retirements(ledger, "parts") == []


def test_a_retired_version_can_not_be_packaged_nor_served(ledger, register, retire):
    version = register(1)
    release = package(ledger, version)
    retire(version)
    for use in (lambda: package(ledger, version), lambda: serve(ledger, release, "run")):
        with pytest.raises(ContractViolationError, match=r"retired by ana .*: old; only its bundle, digits/archive/1"):
            use()


def test_a_retired_version_frees_its_dataset_version(ledger, register, retire):
    version = register(1)
    package(ledger, version)
    assert list_used_versions(ledger, "digits") == {1}
    retire(version)
    assert list_used_versions(ledger, "digits") == set()


def test_an_overtaken_attempt_buries_nothing(ledger, register):
    version = register(1)
    again = hold_lease(ledger, "digits/retirement", "run")
    with hold_lease(ledger, "digits/retirement", "run") as stale, again, pytest.raises(StaleAttemptError):
        record_retirement(ledger, version, BUNDLE, "digits/archive/1", stale, "ana", "old")
    assert list_retirements(ledger, "digits") == []
    assert "retirement" not in list_kinds(ledger)


@pytest.mark.timeout(60)
def test_of_a_hold_and_a_retirement_at_once_one_comes_second(ledger, register, retire):
    versions = [register(number) for number in range(1, 13)]

    def race(version: ModelVersionRef, who: str) -> bool:
        try:
            hold_version(ledger, "digits", version.version, "ana", "claim") if who == "holder" else retire(version)
        except ContractViolationError:
            return False
        return True

    for version in versions:
        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(lambda who, one=version: race(one, who), ("holder", "retirer"))) == [False, True]
    held = {hold.version for hold in list_holds(ledger, "digits")}
    retired = {tombstone.version for tombstone in list_retirements(ledger, "digits")}
    assert held | retired == set(range(1, 13))
    assert not held & retired
