import io
from typing import get_args

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.contracts import QuarantineReason
from include.errors import ArtifactNotFoundError
from include.ledger.quality import record_validation
from tests.plugins.ui.reports import make_report
from windhover.ui.quarantine import REMEDIES, SHOWN, render_quarantine

DAY = "2026-11-03"
ATTACK = "<script>alert('x')</script>.png"


def row(**values):
    return {"source": "a.png", "reason": "truncated", "detail": "", "digest": "sha256:" + "a" * 64} | values


def put(store, *rows, day=DAY):
    schema = pa.schema([(name, pa.string()) for name in ("source", "reason", "detail", "digest")])
    schema = schema.append(pa.field("original", pa.binary()))
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), buffer)
    store.write(f"digits/quarantine/{day}.parquet", buffer.getvalue())


@pytest.fixture
def show(project, store, ledger):
    return lambda day=DAY: render_quarantine(project, day, store, ledger)


def test_every_file_is_shown_with_its_reason_and_what_helps(show, store):
    put(store, row(), row(source="b.png"), row(source="c.png", reason="unknown_class", detail="label '12'"))
    page = show()
    assert all(name in page for name in ("a.png", "b.png", "c.png", "label &#39;12&#39;"))
    assert '<td class="right">2</td><td class="name"><b>truncated</b></td>' in page
    assert REMEDIES["unknown_class"].replace("'", "&#39;") in page


def test_every_reason_has_a_remedy():
    assert set(REMEDIES) == set(get_args(QuarantineReason))


@pytest.mark.parametrize("column", ["source", "reason", "detail", "digest"])
def test_names_that_came_with_the_data_are_escaped(show, store, column):
    put(store, row(**{column: ATTACK}))
    page = show()
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_a_file_whose_bytes_were_never_read_has_no_digest(show, store):
    put(store, row(digest=None))
    page = show()
    assert "None" not in page
    assert "not read" in page


def test_an_empty_quarantine_says_so(show, store):
    put(store)
    assert "nothing is in quarantine" in show()


def test_thousands_of_files_make_a_page_that_opens(show, store):
    put(store, *(row(source=f"{index}.png") for index in range(SHOWN + 7)))
    page = show()
    assert page.count("<td>truncated") + page.count('<td class="name">truncated</td>') == SHOWN
    assert "And 7 more" in page


def test_a_failed_day_says_how_to_correct_and_how_to_release_it(history):
    put(history.store, row())
    page = render_quarantine(history.project, DAY, history.store, history.ledger)
    assert ">failed</span>" in page
    assert 'href="/dags/digits.release_quarantine"' in page
    assert all(said in page for said in ("<b>7</b><span>files seen", "28.6 % of the delivery", "10.0 % may be"))


def test_a_released_day_says_who_answers_for_it(history):
    put(history.store, row(), day="2026-11-02")
    page = render_quarantine(history.project, "2026-11-02", history.store, history.ledger)
    assert ">released</span>" in page
    assert "approver released this content" in page
    assert "seen by eye" in page


def test_a_release_of_other_content_does_not_count(history):
    put(history.store, row(), day="2026-11-02")
    other = make_report("2026-11-02", success=False, address="a/other")
    record_validation(history.ledger, other, passed=False)
    page = render_quarantine(history.project, "2026-11-02", history.store, history.ledger)
    assert ">failed</span>" in page
    assert "seen by eye" not in page


def test_a_day_that_passed_asks_for_nothing(history):
    put(history.store, row(), day="2026-11-01")
    page = render_quarantine(history.project, "2026-11-01", history.store, history.ledger)
    assert "Nothing has to be done" in page
    assert "release_quarantine" not in page


def test_a_day_never_ingested_is_an_error(show):
    with pytest.raises(ArtifactNotFoundError):
        show()


def test_the_page_in_airflow_is_escaped_and_sandboxed(browser, ledger_connection, machine_store):
    put(machine_store, row(source=ATTACK))
    answer = browser.get(f"/windhover/quarantine/digits/{DAY}")
    assert answer.status_code == 200
    assert answer.headers["content-security-policy"].startswith("sandbox")
    assert "<script" not in answer.text
