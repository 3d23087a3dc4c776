import subprocess
import sys

import pytest

from include.contracts import ExpectationReport, ValidationReport
from include.data.quality import find_troubles, require_quality
from include.errors import DataQualityError
from include.ledger.quality import record_release
from include.settings import REPOSITORY
from include.storage import digest_bytes


def report(quarantined=0, seen=100, success=True, expectations=()):
    return ValidationReport(
        project="digits",
        partition="2026-11-02",
        address="digits/staging/2026-11-02/validated-0",
        digest=digest_bytes(b""),
        seen=seen,
        accepted=seen - quarantined,
        duplicates=0,
        quarantined=quarantined,
        reasons={"truncated": quarantined} if quarantined else {},
        expectations=expectations,
        success=success,
        data_docs="digits/reports/data_docs/2026-11-02/index.html",
    )


def broken(column, *rows, on_failure="stop", description=""):
    return ExpectationReport(
        expectation="expect_x",
        column=column,
        description=description,
        on_failure=on_failure,
        success=False,
        observed=f"{len(rows)} of 100 rows",
        unexpected=len(rows),
        rows=rows,
    )


def test_quarantine_up_to_the_bar_passes_and_one_file_more_does_not(project, ledger):
    require_quality(project, report(quarantined=10), ledger)
    with pytest.raises(DataQualityError, match=r"11 of 100 .*11 truncated.* 10% of data\.max_quarantined"):
        require_quality(project, report(quarantined=11), ledger)


def test_the_bar_is_the_projects(project):
    strict = project.model_copy(update={"data": project.data.model_copy(update={"max_quarantined": 0.0})})
    assert find_troubles(strict, report()) == []
    assert find_troubles(strict, report(quarantined=1))[0].startswith("1 of 100 files")


def test_only_what_stops_is_a_trouble(project):
    rows = (broken("a", "x.png", on_failure="warn"), broken("b", "y.png", on_failure="quarantine"))
    assert find_troubles(project, report(expectations=rows)) == []
    assert len(find_troubles(project, report(expectations=(*rows, broken("c", "z.png")), success=False))) == 1


def test_every_trouble_is_in_one_message_with_the_first_files_and_how_to_go_on(project, ledger):
    files = [f"images/{number}.png" for number in range(7)]
    expectations = (broken("width", *files, description="Wide enough."), broken(None))
    with pytest.raises(DataQualityError) as raised:
        require_quality(project, report(quarantined=50, success=False, expectations=expectations), ledger)
    message = str(raised.value)
    assert message.startswith(
        'digits 2026-11-02: "Wide enough." (expect_x(width)) is not met: 7 of 100 rows, in images/0'
    )
    assert "images/4.png ...; expect_x(table) is not met" in message
    assert "images/5.png" not in message
    assert "50 of 100 files" in message
    assert "Details: digits/reports/data_docs/2026-11-02/index.html" in message
    assert message.endswith("with the DAG digits.release_quarantine")


def test_a_release_of_exactly_this_content_passes(project, ledger):
    stopped = report(quarantined=50)
    record_release(ledger, "digits", "2026-11-02", stopped.address, "mira", "night shots are dark")
    require_quality(project, stopped, ledger)
    with pytest.raises(DataQualityError):
        require_quality(project, stopped.model_copy(update={"address": "other"}), ledger)


def test_a_failure_without_a_reason_is_no_pass(project, ledger):
    with pytest.raises(DataQualityError, match="validation failed"):
        require_quality(project, report(success=False), ledger)


def test_the_gate_is_cheap_to_import():
    probe = "import sys, include.data.quality; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", probe], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert {"great_expectations", "pandas", "lance", "pyarrow"}.isdisjoint(loaded.stdout.split())
