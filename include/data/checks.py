"""One entry of a suite, and everything that can be wrong with it before it is run."""

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, Literal

from great_expectations.expectations.expectation import (
    ColumnMapExpectation,
    ColumnPairMapExpectation,
    Expectation,
    MulticolumnMapExpectation,
)
from great_expectations.expectations.registry import (
    get_expectation_impl,
    list_registered_expectation_implementations,
)
from pydantic import Field

from include.contracts import Contract
from include.data.history import BEFORE, PARAMETERS
from include.data.outliers import UNREAD
from include.vision.schema import MANIFEST_COLUMNS

Consequence = Literal["stop", "quarantine", "warn"]
COLUMNS = (*(name for name in MANIFEST_COLUMNS if name not in UNREAD), "splits_of_group", "conflicting_label")
NAMES_ROWS = (ColumnMapExpectation, ColumnPairMapExpectation, MulticolumnMapExpectation)
NOT_KWARGS = {*Expectation.__fields__, "batch_id"}
IDENTIFIER = re.compile(r"(?<![\w.])[A-Za-z_]\w*")


class Check(Contract):
    """One expectation of Great Expectations, and what follows when it is not met."""

    expectation: str = Field(description="Type, such as `expect_column_values_to_be_between`.")
    kwargs: dict[str, Any] = Field(default={})
    on_failure: Consequence = "stop"
    description: str = ""

    @property
    def words(self) -> str:
        """What is expected, in as few words as there are."""
        column = self.kwargs.get("column") or self.kwargs.get("column_A") or "table"
        return self.description or f"{self.expectation}({column})"

    @property
    def parameters(self) -> frozenset[str]:
        """Names the check takes from the partition and those before it."""
        asked = [
            value["$PARAMETER"] for value in self.kwargs.values() if isinstance(value, dict) and "$PARAMETER" in value
        ]
        return frozenset(name for expression in asked for name in IDENTIFIER.findall(str(expression)))

    def build(self, position: int) -> Any:
        """Make the expectation, marked with its position in the suite."""
        implementation: Any = get_expectation_impl(self.expectation)
        return implementation(**self.kwargs, description=self.description or None, meta={"position": position})


def find_fault(check: Check) -> str | None:
    """Say what is wrong with a check, and what was probably meant; None where nothing is."""
    return (
        _refuse_unknown("expectation", [check.expectation], list_registered_expectation_implementations())
        or _find_fault_in_kwargs(check)
        or _refuse_unknown("column", _columns(check), COLUMNS)
        or _refuse_unknown("parameter", sorted(check.parameters), sorted(PARAMETERS))
        or _find_fault_in_consequence(check)
    )


def _find_fault_in_kwargs(check: Check) -> str | None:
    fields: dict[str, Any] = get_expectation_impl(check.expectation).__fields__
    unknown = _refuse_unknown("key in kwargs", check.kwargs, [name for name in fields if name not in NOT_KWARGS])
    if unknown:
        return unknown
    try:
        check.build(0)
    except ValueError as error:  # pydantic 1, which Great Expectations brings along
        details = [(".".join(map(str, one["loc"])), one["msg"]) for one in getattr(error, "errors", list)()]
        return "; ".join(dict.fromkeys(f"kwargs.{where}: {what}" for where, what in details)) or str(error)
    return None


def _find_fault_in_consequence(check: Check) -> str | None:
    if check.on_failure != "quarantine":
        return None
    if not issubclass(get_expectation_impl(check.expectation), NAMES_ROWS):
        return f"on_failure: {check.expectation} names no rows, so none can be quarantined; use `stop` or `warn`"
    if any(name.endswith(BEFORE) for name in check.parameters):
        return "on_failure: rows quarantined by what came before would differ with the order of a backfill; use `warn`"
    return None


def _columns(check: Check) -> list[str]:
    named = [check.kwargs.get(key) for key in ("column", "column_A", "column_B")]
    return [str(name) for name in [*named, *check.kwargs.get("column_list", ())] if name is not None]


def _refuse_unknown(what: str, names: Iterable[str], known: Iterable[str]) -> str | None:
    known = list(known)
    for name in names:
        if name not in known:
            close = get_close_matches(str(name), known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known[:40])}"
            return f"unknown {what} {name!r}; {hint}"
    return None
