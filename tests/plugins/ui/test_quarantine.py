import io
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.errors import ArtifactNotFoundError
from windhover.ui.quarantine import render_quarantine

DAY = "2026-11-20"
ATTACK = "<script>alert('x')</script>.png"


def row(**values):
    return {"source": "a.png", "reason": "unreadable", "detail": "", "digest": "sha256:" + "a" * 64} | values


def put(store, *rows):
    schema = pa.schema([(name, pa.string()) for name in ("source", "reason", "detail", "digest")])
    schema = schema.append(pa.field("original", pa.binary()))
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), buffer)
    store.write(f"digits/quarantine/{DAY}.parquet", buffer.getvalue())


def test_every_file_is_shown_with_its_reason_and_counts_add_up(store):
    put(store, row(), row(source="b.png"), row(source="c.png", reason="unknown_class", detail="label '12'"))
    page = render_quarantine(store, "digits", DAY)
    assert all(name in page for name in ("a.png", "b.png", "c.png", "label &#39;12&#39;"))
    assert re.findall(r"(\d) . (unreadable|unknown_class)", page) == [("2", "unreadable"), ("1", "unknown_class")]


@pytest.mark.parametrize("column", ["source", "reason", "detail", "digest"])
def test_names_that_came_with_the_data_are_escaped(store, column):
    put(store, row(**{column: ATTACK}))
    page = render_quarantine(store, "digits", DAY)
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_a_file_whose_bytes_were_never_read_has_no_digest(store):
    put(store, row(digest=None))
    page = render_quarantine(store, "digits", DAY)
    assert "None" not in page
    assert "not read" in page


def test_an_empty_quarantine_says_so(store):
    put(store)
    assert "nothing is in quarantine" in render_quarantine(store, "digits", DAY)


def test_a_day_never_ingested_is_an_error(store):
    with pytest.raises(ArtifactNotFoundError):
        render_quarantine(store, "digits", DAY)


def test_the_page_in_airflow_is_escaped_and_sandboxed(browser, machine_store):
    put(machine_store, row(source=ATTACK))
    answer = browser.get(f"/windhover/quarantine/digits/{DAY}")
    assert answer.status_code == 200
    assert answer.headers["content-security-policy"].startswith("sandbox")
    assert "<script" not in answer.text
