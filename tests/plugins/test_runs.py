from types import SimpleNamespace

import pytest

from windhover.runs import is_backfill


@pytest.mark.parametrize(("kind", "past"), [("backfill", True), ("manual", False), ("asset_triggered", False)])
def test_only_a_backfill_looks_at_the_past(kind, past):
    assert is_backfill({"dag_run": SimpleNamespace(run_type=kind)}) is past
