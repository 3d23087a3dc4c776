import pytest

from include.contracts import ValidationReport
from include.data.quarantine import release_quarantine
from include.errors import ArtifactNotFoundError, ContractViolationError
from include.ledger.quality import find_release, record_validation

DAY = "2026-11-20"


def make_report(letter="a", partition=DAY):
    return ValidationReport(
        project="digits",
        partition=partition,
        address=f"digits/staging/{letter}",
        digest=f"sha256:{letter * 64}",
        seen=10,
        accepted=5,
        duplicates=0,
        quarantined=5,
        success=False,
        data_docs="digits/reports/data_docs/1/index.html",
    )


def release(project, ledger, partition=DAY, reason="checked by hand"):
    return release_quarantine(project, partition, ledger, released_by="ada", reason=reason)


def test_the_last_failed_validation_is_released_and_no_other_content(project, ledger):
    for letter in "ab":
        record_validation(ledger, make_report(letter), passed=False)

    assert release(project, ledger) == make_report("b")

    assert find_release(ledger, make_report("b")) == "checked by hand"
    assert find_release(ledger, make_report("a")) is None


def test_the_first_release_of_the_same_content_stays(project, ledger):
    record_validation(ledger, make_report(), passed=False)
    release(project, ledger)
    release(project, ledger, reason="another reason")
    assert find_release(ledger, make_report()) == "checked by hand"


def test_a_day_that_passed_since_is_not_released(project, ledger):
    record_validation(ledger, make_report("a"), passed=False)
    record_validation(ledger, make_report("b"), passed=True)
    record_validation(ledger, make_report("c", "2026-11-21"), passed=False)
    with pytest.raises(ArtifactNotFoundError, match="failed are: 2026-11-21"):
        release(project, ledger)
    assert find_release(ledger, make_report("a")) is None


@pytest.mark.parametrize("partition", [DAY, "snapshot", "", "'; DROP TABLE validations"])
def test_what_was_never_validated_is_not_released(project, ledger, partition):
    with pytest.raises(ArtifactNotFoundError, match="failed are: none"):
        release(project, ledger, partition)


@pytest.mark.parametrize("reason", ["", " \n"])
def test_nothing_is_released_without_a_reason(project, ledger, reason):
    record_validation(ledger, make_report(), passed=False)
    with pytest.raises(ContractViolationError, match="say why"):
        release(project, ledger, reason=reason)
    assert find_release(ledger, make_report()) is None
