import subprocess
import sys

import pytest

from include.contracts import ExpectationReport, ValidationReport
from include.data.quality import require_quality
from include.errors import DataQualityError
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


def broken(column, *rows):
    return ExpectationReport(expectation="expect_x", column=column, success=False, unexpected=len(rows), rows=rows)


def test_quarantine_up_to_the_bar_passes_and_one_file_more_does_not(project):
    require_quality(project, report(quarantined=10))
    with pytest.raises(DataQualityError, match=r"11 of 100 .*'truncated': 11.* 10% of data\.max_quarantined"):
        require_quality(project, report(quarantined=11))


def test_the_bar_is_the_projects(project):
    strict = project.model_copy(update={"data": project.data.model_copy(update={"max_quarantined": 0.0})})
    with pytest.raises(DataQualityError, match="1 of 100"):
        require_quality(strict, report(quarantined=1))


def test_every_trouble_is_in_one_message_with_the_first_files_and_where_to_read_on(project):
    files = [f"images/{number}.png" for number in range(7)]
    expectations = (broken("width", *files), broken(None), ExpectationReport(expectation="expect_y", success=True))
    with pytest.raises(DataQualityError) as raised:
        require_quality(project, report(quarantined=50, success=False, expectations=expectations))
    message = str(raised.value)
    assert message.startswith("digits 2026-11-02: expect_x(width) failed for 7 row(s) ['images/0.png'")
    assert "images/4.png" in message
    assert "images/5.png" not in message
    assert "expect_x(table) failed for the row(s)" in message
    assert "50 of 100 files" in message
    assert "expect_y" not in message
    assert message.endswith("index.html; correct the delivery and run the partition again")


def test_a_failure_without_a_reason_is_no_pass(project):
    with pytest.raises(DataQualityError, match="validation failed"):
        require_quality(project, report(success=False))


def test_the_gate_is_cheap_to_import():
    probe = "import sys, include.data.quality; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", probe], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert {"great_expectations", "pandas", "lance", "pyarrow"}.isdisjoint(loaded.stdout.split())
