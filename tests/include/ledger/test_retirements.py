from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from include.contracts.retirement import RetirementReport
from include.errors import ContractViolationError
from include.ledger import Ledger
from include.ledger.retirements import find_retirement, list_retirements, require_not_retired
from include.ledger.tables import retirements
from include.storage import digest_bytes


def bury(ledger: Ledger, version: int) -> RetirementReport:
    tombstone = RetirementReport(
        version=version,
        model_key=digest_bytes(b"model"),
        retired_by="ana",
        reason="replaced by 5",
        retired_at=datetime(2026, 3, 1, 9, tzinfo=UTC),
        bundle=digest_bytes(b"bundle"),
        address=f"digits/archive/{version}",
    )
    row = {"project": "digits", "version": version, "model_key": tombstone.model_key}
    with ledger.begin() as connection:
        connection.execute(sa.insert(retirements).values(**row, retirement=tombstone.model_dump(mode="json")))
    return tombstone


def test_tombstones_are_listed_newest_version_first(ledger: Ledger):
    first, third = bury(ledger, 1), bury(ledger, 3)
    assert list_retirements(ledger, "digits") == [third, first]
    assert find_retirement(ledger, "digits", 1) == first
    assert find_retirement(ledger, "digits", 2) is None
    assert list_retirements(ledger, "parts") == []


def test_the_error_says_by_whom_when_why_and_what_is_left(ledger: Ledger):
    bury(ledger, 1)
    with ledger.begin() as connection:
        require_not_retired(connection, "digits", 2)
        require_not_retired(connection, "parts", 1)
        with pytest.raises(
            ContractViolationError, match=r"retired by ana on 2026-03-01: replaced by 5; only its bundle, digits/arch"
        ):
            require_not_retired(connection, "digits", 1)
