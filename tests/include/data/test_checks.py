import pytest

from include.data.checks import Check, find_fault

BETWEEN = "expect_column_values_to_be_between"


def check(expectation=BETWEEN, on_failure="warn", **kwargs):
    return Check(expectation=expectation, kwargs=kwargs, on_failure=on_failure)


@pytest.mark.parametrize(
    ("faulty", "said"),
    [
        pytest.param(check("expect_column_values_between"), f"did you mean '{BETWEEN}'", id="type"),
        pytest.param(check("sqlalchemy"), "unknown expectation 'sqlalchemy'", id="nothing-alike"),
        pytest.param(check(column="width", min_valu=1), "'min_valu'; did you mean 'min_value'", id="kwarg"),
        pytest.param(check(min_value=1), "kwargs.column: field required", id="missing-kwarg"),
        pytest.param(check(column="width", min_value="eight"), "kwargs.min_value", id="kind-of-value"),
        pytest.param(check(column="widht", min_value=1), "unknown column 'widht'; did you mean 'width'", id="column"),
        pytest.param(
            check("expect_column_pair_values_a_to_be_greater_than_b", column_A="known_at", column_B="captured_at"),
            "unknown column 'captured_at'",
            id="second-column",
        ),
        pytest.param(
            check(column="width", min_value={"$PARAMETER": "widht_median - 1e-3"}),
            "unknown parameter 'widht_median'; did you mean 'width_median'",
            id="parameter",
        ),
        pytest.param(
            check("expect_table_row_count_to_be_between", "quarantine", min_value=1), "names no rows", id="no-rows"
        ),
        pytest.param(
            check(on_failure="quarantine", column="width", min_value={"$PARAMETER": "width_median_before"}),
            "order of a backfill",
            id="quarantined-by-history",
        ),
    ],
)
def test_a_fault_is_named_with_what_was_probably_meant(faulty, said):
    assert said in find_fault(faulty)


def test_a_sound_check_has_no_fault():
    assert find_fault(check(on_failure="quarantine", column="width", min_value=1, mostly=0.9)) is None


def test_parameters_are_the_names_in_every_expression_and_no_numbers():
    asked = check(
        column="width", min_value={"$PARAMETER": "width_median - 1e3"}, max_value={"$PARAMETER": "2 * width_spread"}
    )
    assert asked.parameters == {"width_median", "width_spread"}
    assert check(column="width", min_value=3).parameters == frozenset()


def test_words_are_the_description_or_the_expectation_itself():
    assert check(column="width", min_value=3).words == f"{BETWEEN}(width)"
    assert Check(expectation=BETWEEN, description="Wide enough.").words == "Wide enough."
