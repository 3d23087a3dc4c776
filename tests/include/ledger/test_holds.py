from concurrent.futures import ThreadPoolExecutor

import pytest

from include.contracts import ModelVersionRef
from include.errors import ArtifactNotFoundError, ContractViolationError
from include.ledger import Ledger
from include.ledger.disposal import record_retirement, require_disposable
from include.ledger.holds import hold_version, list_holds, release_hold
from include.ledger.leases import hold_lease
from include.ledger.models import record_model_version
from include.storage import digest_bytes

BUNDLE = digest_bytes(b"bundle")


@pytest.fixture
def version(ledger: Ledger, make_model) -> ModelVersionRef:
    version = ModelVersionRef(model=make_model(), version=1, accuracy=0.9)
    record_model_version(ledger, version)
    return version


def test_a_hold_says_who_why_and_when_until_it_is_lifted(ledger, version):
    hold = hold_version(ledger, "digits", 1, "ana", "claim 4711")
    assert list_holds(ledger, "digits") == [hold]
    assert (hold.held_by, hold.reason) == ("ana", "claim 4711")
    with pytest.raises(ContractViolationError, match=r"held by ana since .*: claim 4711; .* `release-hold`"):
        require_disposable(ledger, "digits", 1)
    assert release_hold(ledger, "digits", 1, "ben", "settled") == hold
    assert list_holds(ledger, "digits") == []
    require_disposable(ledger, "digits", 1)
    assert hold_version(ledger, "digits", 1, "ana", "again").reason == "again"


def test_the_first_hold_stays_however_many_come_at_once(ledger, version):
    with ThreadPoolExecutor(4) as pool:
        holds = list(pool.map(lambda who: hold_version(ledger, "digits", 1, who, "claim"), "abcd"))
    assert len({hold.held_by for hold in holds}) == 1 == len(list_holds(ledger, "digits"))


def test_what_is_not_there_cannot_be_held_nor_released(ledger, version):
    with pytest.raises(ArtifactNotFoundError, match="no certified version 2"):
        hold_version(ledger, "digits", 2, "ana", "claim")
    with pytest.raises(ArtifactNotFoundError, match="no hold of version 1"):
        release_hold(ledger, "digits", 1, "ana", "claim")
    assert list_holds(ledger, "digits") == []


@pytest.mark.parametrize("change", [hold_version, release_hold])
def test_a_reason_is_needed(ledger, version, change):
    with pytest.raises(ContractViolationError, match="reason"):
        change(ledger, "digits", 1, "ana", " ")


def test_a_retired_version_cannot_be_held(ledger, version):
    with hold_lease(ledger, "retire", "run") as lease:
        record_retirement(ledger, version, BUNDLE, "digits/archive/1", lease, "ana", "old")
    with pytest.raises(ContractViolationError, match="version 1 of digits was retired by ana"):
        hold_version(ledger, "digits", 1, "ben", "claim")
    assert list_holds(ledger, "digits") == []
