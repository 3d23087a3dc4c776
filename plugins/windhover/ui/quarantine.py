"""The page that shows what was put aside, and why."""

import io
from collections import Counter
from pathlib import Path

from jinja2 import Environment

from include.storage import Store

PAGE = Path(__file__).with_name("quarantine.html")


def render_quarantine(store: Store, project: str, partition: str) -> str:
    """Render the quarantined files of one day as HTML.

    :raises ArtifactNotFoundError: the day was never ingested.
    """
    import pyarrow.parquet as pq

    content = io.BytesIO(store.read(f"{project}/quarantine/{partition}.parquet"))
    rows = pq.read_table(content, columns=["source", "reason", "detail", "digest"]).to_pylist()
    reasons = Counter(row["reason"] for row in rows).most_common()
    page = Environment(autoescape=True).from_string(PAGE.read_text())
    return page.render(project=project, partition=partition, rows=rows, reasons=reasons)
