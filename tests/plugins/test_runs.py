from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from include.errors import ContractViolationError
from windhover.runs import is_backfill, read_moment


@pytest.mark.parametrize(("kind", "past"), [("backfill", True), ("manual", False), ("asset_triggered", False)])
def test_only_a_backfill_looks_at_the_past(kind, past):
    assert is_backfill({"dag_run": SimpleNamespace(run_type=kind)}) is past


@pytest.mark.parametrize("text", ["2026-01-31T09:00:00", "2026-01-31T10:00:00+01:00", "2026-01-31T09:00:00Z"])
def test_a_moment_without_an_offset_is_utc(text):
    assert read_moment(text) == datetime(2026, 1, 31, 9, tzinfo=UTC)


def test_what_is_no_moment_is_refused():
    with pytest.raises(ContractViolationError, match="'soon' is no moment"):
        read_moment("soon")
