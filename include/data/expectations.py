"""Hold rows against a suite, in Great Expectations' terms and words."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from string import Template
from textwrap import shorten
from typing import Any

import great_expectations as gx
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from great_expectations.data_context.types.base import (
    DataContextConfig,
    InMemoryStoreBackendDefaults,
    ProgressBarsConfig,
)
from great_expectations.render.renderer.inline_renderer import InlineRenderer

from include.contracts import ExpectationReport, QuarantineReason
from include.data.checks import Check
from include.data.history import explain_absence
from include.data.outliers import Measures, measure_rows, tabulate_rows

MAX_NAMED_ROWS = 20
MAX_WORDS = 300
SHOWN_VALUES = 3
MANY = 10_000

Withdrawn = Mapping[str, tuple[QuarantineReason, str]]


@dataclass(frozen=True)
class Outcome:
    """What became of one check; `rows` gives the values found by source, of every offending row or the first few."""

    check: Check
    report: ExpectationReport
    rows: Mapping[str, str]


def hold_rows(
    suite: Sequence[Check],
    manifest: pa.Table,
    conflicts: Mapping[str, str],
    name_parameters: Callable[[Measures], Mapping[str, Any]],
) -> tuple[list[Outcome], Withdrawn]:
    """Hold rows against a suite; return what became of every check, and the rows to set aside with reason and detail.

    Checks whose consequence is `quarantine` come first; what they leave is held against the others. Method: Great
    Expectations, ephemeral context.

    :param conflicts: See `include.data.outliers.find_conflicts`.
    """
    strict = [check for check in suite if check.on_failure == "quarantine"]
    others = [check for check in suite if check.on_failure != "quarantine"]
    frame, parameters = tabulate_rows(manifest, conflicts), name_parameters(measure_rows(manifest))
    outcomes = run_checks(frame, strict, parameters, name_all=True)
    withdrawn = _choose_rows(outcomes)
    if withdrawn:
        gone = pc.is_in(manifest["source"], pa.array(withdrawn, pa.string()))
        manifest = manifest.filter(pc.invert(gone))
        frame, parameters = tabulate_rows(manifest, conflicts), name_parameters(measure_rows(manifest))
    return [*outcomes, *run_checks(frame, others, parameters)], withdrawn


def _choose_rows(outcomes: Sequence[Outcome]) -> Withdrawn:
    """Say for every row that broke something why it is set aside: everything it broke, with the values found."""
    reasons: dict[str, QuarantineReason] = {}
    details: defaultdict[str, list[str]] = defaultdict(list)
    for outcome in outcomes:
        about_labels = outcome.report.column == "conflicting_label"
        for source, values in outcome.rows.items():
            reasons[source] = "label_conflict" if about_labels else "failed_expectation"
            details[source].append(f"{outcome.check.words} ({values})")
    return {source: (reason, "; ".join(details[source])) for source, reason in reasons.items()}


def run_checks(
    frame: pd.DataFrame, checks: Sequence[Check], parameters: Mapping[str, Any], name_all: bool = False
) -> list[Outcome]:
    """Hold a manifest against checks, in their order; one whose parameters have no value is not checked.

    An expectation that cannot be evaluated failed, and stops the partition whatever its consequence.

    :param frame: See `include.data.outliers.tabulate_rows`.
    :param name_all: Name every offending row, at the price of memory.
    """
    ready = {number: check for number, check in enumerate(checks) if check.parameters <= parameters.keys()}
    found = _run(frame, ready, parameters, name_all) if ready else {}
    return [
        _summarise(check, found[number]) if number in found else _not_checked(check, parameters)
        for number, check in enumerate(checks)
    ]


def _run(
    frame: pd.DataFrame, checks: Mapping[int, Check], parameters: Mapping[str, Any], name_all: bool
) -> dict[int, Any]:
    settings = DataContextConfig(
        # The default would make a folder for a Data Docs site that nobody asked for.
        store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
        progress_bars=ProgressBarsConfig(globally=False),
        analytics_enabled=False,
    )
    context = gx.get_context(mode="ephemeral", project_config=settings)
    asset = context.data_sources.add_pandas("staged rows").add_dataframe_asset("partition")
    batch = asset.add_batch_definition_whole_dataframe("rows").get_batch({"dataframe": frame})
    suite = gx.ExpectationSuite(name="suite", expectations=[check.build(number) for number, check in checks.items()])
    result: Any = batch.validate(
        suite,
        result_format={
            "result_format": "COMPLETE" if name_all else "SUMMARY",
            "unexpected_index_column_names": ["source"],
            "partial_unexpected_count": MAX_NAMED_ROWS,
            "return_unexpected_index_query": False,
        },
        expectation_parameters=dict(parameters),
    )
    return {one.expectation_config.meta["position"]: one for one in result.results}


def _not_checked(check: Check, parameters: Mapping[str, Any]) -> Outcome:
    reason = explain_absence(min(check.parameters - parameters.keys()))
    return Outcome(check, _report(check, success=True, checked=False, observed=reason), {})


def _summarise(check: Check, result: Any) -> Outcome:
    exceptions = _read_exceptions(result.exception_info)
    if exceptions:
        why = shorten("; ".join(exceptions), MAX_WORDS)
        broken = _report(check, success=False, checked=False, observed=f"could not be checked: {why}")
        return Outcome(check, broken.model_copy(update={"on_failure": "stop"}), {})
    rows = {} if result.success else _name_rows(result.result)
    report = _report(
        check,
        success=bool(result.success),
        requirement=_read_requirement(result),
        observed=_describe(result.result),
        unexpected=int(result.result.get("unexpected_count") or 0),
        rows=tuple(sorted(rows)[:MAX_NAMED_ROWS]),
    )
    return Outcome(check, report, rows)


def _report(check: Check, **found: Any) -> ExpectationReport:
    return ExpectationReport(
        expectation=check.expectation,
        column=check.kwargs.get("column") or check.kwargs.get("column_A"),
        description=check.description,
        on_failure=check.on_failure,
        **found,
    )


def _name_rows(found: Mapping[str, Any]) -> dict[str, str]:
    rows = found.get("unexpected_index_list") or found.get("partial_unexpected_index_list") or ()
    return {
        str(row["source"]): ", ".join(f"{name} is {_show(value)}" for name, value in row.items() if name != "source")
        for row in rows
    }


def _read_requirement(result: Any) -> str:
    """Say what had to hold in Great Expectations' own words; where it draws a picture instead, by the numbers."""
    config = result.expectation_config
    config.description = None
    for content in InlineRenderer(render_object=config).get_rendered_content():
        value: Any = content.to_json_dict()["value"]
        if content.name == "atomic.prescriptive.summary" and value.get("template"):
            words = {name: _show(one["value"]) for name, one in value.get("params", {}).items()}
            return shorten(Template(value["template"]).safe_substitute(words), MAX_WORDS)
    numbers = {name: value for name, value in config.kwargs.items() if isinstance(value, int | float)}
    return ", ".join(f"{name} {_show(value)}" for name, value in numbers.items())


def _describe(found: Mapping[str, Any]) -> str:
    if "unexpected_count" in found:
        bad, rows = found["unexpected_count"], found["element_count"]
        values = dict.fromkeys(_show(value) for value in found.get("partial_unexpected_list") or ())
        return shorten(f"{bad:,} of {rows:,} rows" + _list_first(values), MAX_WORDS)
    details = found.get("details") or {}
    if "observed_partition" in details:
        return shorten(_describe_divergence(found), MAX_WORDS)
    if details.get("mismatched"):
        return shorten("; ".join(f"{what} {_show(names)}" for what, names in details["mismatched"].items()), MAX_WORDS)
    return shorten(_show(found.get("observed_value")), MAX_WORDS)


def _describe_divergence(found: Mapping[str, Any]) -> str:
    """Give the divergence, and the values whose share differs most from what was expected."""
    observed, expected = (found["details"][name] for name in ("observed_partition", "expected_partition"))
    bins = observed.get("bins")
    names = [f"{low:.2f}-{high:.2f}" for low, high in pairwise(bins)] if bins else list(map(str, observed["values"]))
    shares = zip(names, observed["weights"], expected["weights"], strict=True)
    furthest = sorted(shares, key=lambda share: -abs(share[1] - (share[2] or 0)))
    value = found["observed_value"]
    divergence = "infinite divergence" if value is None else f"divergence {_show(value)}"
    return divergence + _list_first(
        f"{name} has {there:.0%} instead of {wanted or 0:.0%}" for name, there, wanted in furthest
    )


def _list_first(values: Iterable[str]) -> str:
    first = list(values)
    return f": {', '.join(first[:SHOWN_VALUES])}{', ...' if len(first) > SHOWN_VALUES else ''}" if first else ""


def _show(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= MANY else f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(_show, value))
    return str(value)


def _read_exceptions(info: Mapping[str, Any]) -> list[str]:
    """Say why an expectation could not be checked; the exceptions of metrics stand under the metrics' names."""
    nested = (value for value in info.values() if isinstance(value, dict))
    return sorted({str(one["exception_message"]) for one in (info, *nested) if one.get("raised_exception")})
