import pyarrow as pa

from include.contracts import BatchReport
from include.deployment.batch_page import render_batch


def test_the_most_frequent_answer_comes_first_and_names_are_escaped(release_of):
    release = release_of(3)
    report = BatchReport(
        dataset=release.model.model.dataset,
        partition="2026-03-01",
        release=release.digest,
        model_version=3,
        address="digits/batch_predictions/2026-03-01/k",
        page="digits/reports/batch_predictions/2026-03-01/k/index.html",
        digest=release.digest,
        images=3,
    )
    page = render_batch(report, pa.table({"predicted": ["0", "<b>", "<b>"], "confidence": [0.5, 0.75, 0.25]}))
    assert "<b>" not in page
    first, second = "&lt;b&gt;</td><td>2</td><td>66.7 %</td><td>0.500", "<td>0</td><td>1</td><td>33.3 %</td><td>0.500"
    assert 0 < page.index(first) < page.index(second)
    assert release.digest in page
    assert report.address in page
