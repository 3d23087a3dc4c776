"""The page that sums up the answers to a partition: what was answered how often, how surely, by whom."""

from pathlib import Path

import pyarrow as pa
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from include.contracts import BatchReport

TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)


def render_batch(report: BatchReport, answers: pa.Table) -> str:
    """Render the answers by class, the most frequent first, as HTML; no image is named.

    :param answers: Columns `predicted` and `confidence`.
    """
    by_class = answers.group_by("predicted").aggregate([("confidence", "count"), ("confidence", "mean")])
    classes = by_class.sort_by([("confidence_count", "descending"), ("predicted", "ascending")]).to_pylist()
    return TEMPLATES.get_template("batch_predictions.html.j2").render(report=report, classes=classes)
