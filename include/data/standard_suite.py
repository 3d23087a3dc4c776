"""The expectations every project starts from; `suites.write_suite` writes them out to be edited."""

from typing import Any

import pyarrow as pa

from include.data.checks import COLUMNS, Check, Consequence
from include.data.outliers import RANGES, SIZES
from include.project import Project
from include.vision.schema import IMAGES, MANIFEST_COLUMNS

MIN_SIDE = 8
# Iglewicz and Hoaglin ("How to Detect and Handle Outliers", 1993) flag 3.5, one normal value in two
# thousand; partitions are larger than that.
FAR = 5
TYPES = {
    pa.string(): "str",
    pa.int32(): "int32",
    pa.int64(): "int64",
    pa.float32(): "float32",
    pa.timestamp("us", tz="UTC"): "Timestamp",
}


def build_sections(project: Project) -> dict[str, list[Check]]:
    """Build a project's expectations from its project file, under headings."""
    return {
        "Structure: a failure is a fault of the pipeline, not of the delivery": _expect_structure(),
        "Rows: what breaks these goes to quarantine": _expect_rows(project),
        "Outliers within the partition; with `quarantine` they are set aside": _expect_no_outliers(""),
        "Outliers against the partitions before": _expect_no_outliers("_before"),
        "Balance, volume and distribution": _expect_usual(project),
    }


def _expect_structure() -> list[Check]:
    present = [_check("column_values_to_not_be_null", "stop", f"Every row has a {name}.", column=name)
               for name in ("digest", "partition", "source", "split")]  # fmt: skip
    types = [
        _check("column_values_to_be_of_type", "stop", f"{name} has its type.", column=name, type_=TYPES[kind])
        for name, kind in ((name, IMAGES.field(name).type) for name in MANIFEST_COLUMNS)
        if kind in TYPES
    ]
    splits = ["train", "validation", "test"]
    return [
        _check("table_row_count_to_be_between", "stop", "At least one image is left.", min_value=1),
        _check("table_columns_to_match_set", "stop", "The columns are those of the manifest, and what rows share.",
               column_set=list(COLUMNS)),
        *types,
        *present,
        _check("column_values_to_be_unique", "stop", "An image is there once.", column="digest"),
        _check("column_values_to_be_unique", "stop", "A file is there once.", column="source"),
        _check("column_values_to_be_in_set", "stop", "The split is known.", column="split", value_set=splits),
        _between("splits_of_group", "stop", "No group lies in two splits.", max_value=1),
        *(_between(name, "stop", f"{name.capitalize()} is in its unit.", min_value=low, max_value=high)
          for name, (low, high) in RANGES.items()),
    ]  # fmt: skip


def _expect_rows(project: Project) -> list[Check]:
    longest = project.data.max_pixels // MIN_SIDE
    start = {} if project.source.snapshot else {"min_value": _parameter("partition_start")}
    when = "not in the future" if project.source.snapshot else "on the partition's day (UTC)"
    return [
        *(_check("column_values_to_not_be_null", "quarantine", f"The image has a value for {name}.", column=name)
          for name in ("group", "observed_at", *SIZES)),
        *(_between(side, "quarantine", f"The image's {side} is usable, in pixels.", min_value=MIN_SIDE,
                   max_value=longest) for side in SIZES),
        _check("column_values_to_be_in_set", "quarantine", "The label is one of the project's classes, or missing.",
               column="label", value_set=list(project.classes)),
        _between("observed_at", "quarantine", f"The image was observed {when}.", **start,
                 max_value=_parameter("partition_end"), strict_max=True),
        _check("column_pair_values_a_to_be_greater_than_b", "quarantine", "The label came after the image.",
               column_A="known_at", column_B="observed_at", or_equal=True, ignore_row_if="either_value_is_missing"),
        _check("column_values_to_be_null", "quarantine", "Identical images have one label.",
               column="conflicting_label"),
    ]  # fmt: skip


def _expect_no_outliers(when: str) -> list[Check]:
    among = "of the partitions before" if when else "of this partition"
    return [
        _between(
            column,
            "warn",
            f"The image's {column} is not far from that {among}.",
            min_value=_parameter(f"{column}_median{when} - {FAR} * {column}_spread{when}"),
            max_value=_parameter(f"{column}_median{when} + {FAR} * {column}_spread{when}"),
        )
        for column in (*RANGES, *SIZES)
    ]


def _expect_usual(project: Project) -> list[Check]:
    shares = [1 / len(project.classes)] * len(project.classes)
    balanced = {"values": list(project.classes), "weights": shares}
    return [
        _diverges_less("label", "Classes come in their expected shares.", balanced, "0.25 + labels_noise"),
        _check("table_row_count_to_be_between", "warn", "There are about as many images as usual.",
               min_value=_parameter("rows_before / 2"), max_value=_parameter("rows_before * 2")),
        _diverges_less("label", "Classes are distributed as before.", _parameter("labels_before"),
                       "0.1 + labels_noise_before"),
        *(_diverges_less(name, f"{name.capitalize()} is distributed as before.", _parameter(f"{name}_before"),
                         f"0.1 + {name}_noise_before") for name in RANGES),
    ]  # fmt: skip


def _diverges_less(column: str, description: str, expected: dict[str, Any], threshold: str) -> Check:
    kwargs = {"partition_object": expected, "threshold": _parameter(threshold)}
    return _check("column_kl_divergence_to_be_less_than", "warn", description, column=column, **kwargs)


def _between(column: str, on_failure: Consequence, description: str, **kwargs: Any) -> Check:
    return _check("column_values_to_be_between", on_failure, description, column=column, **kwargs)


def _check(name: str, on_failure: Consequence, description: str, **kwargs: Any) -> Check:
    return Check(expectation=f"expect_{name}", kwargs=kwargs, on_failure=on_failure, description=description)


def _parameter(expression: str) -> dict[str, str]:
    return {"$PARAMETER": expression}
