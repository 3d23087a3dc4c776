"""How often two models may differ: as often as they did on the sealed test split, and no one knows better."""

from collections import defaultdict

import pyarrow.compute as pc
from scipy.stats import binomtest

from include.contracts import EvaluationReport, ReleaseRef
from include.errors import ArtifactNotFoundError
from include.ledger import Ledger
from include.ledger.lineage import list_members
from include.ledger.models import find_decision
from include.storage import Store
from include.storage.parquet import read_table

CONFIDENCE = 0.95
# Of fewer images, the bound would allow for almost anything.
PARTITION_IMAGES = 20


def expect_disagreement(release: ReleaseRef, champion: ReleaseRef, ledger: Ledger, store: Store) -> float | None:
    """Return the share of answers in which two releases may differ, by the test split that both were measured on.

    It is the largest of the upper bounds of Clopper and Pearson (1934), of all images and of each partition: the next
    day may be like the one on which the models differed most. None where they were never measured side by side.
    """
    decision = find_decision(ledger, release.model.model.key)
    rival = decision.champion if decision else None
    if decision is None or rival is None or rival.model.key != champion.model.model.key:
        return None
    try:
        differs = _compare(decision.candidate, rival, store)
    except ArtifactNotFoundError:
        return None
    dataset = release.model.model.dataset
    groups: dict[str, list[bool]] = defaultdict(list)
    for member in list_members(ledger, dataset.project, dataset.version):
        if member.digest in differs:
            groups[member.partition].append(differs[member.digest])
    large = [group for group in groups.values() if len(group) >= PARTITION_IMAGES]
    return max((_bound(group) for group in [list(differs.values()), *large] if group), default=None)


def _compare(candidate: EvaluationReport, rival: EvaluationReport, store: Store) -> dict[str, bool]:
    """Tell for each test image, by digest, whether the two answers differ."""
    columns = ["digest", "predicted"]
    mine, other = (read_table(store, report.answers, columns) for report in (candidate, rival))
    both = mine.join(other, "digest", join_type="inner", right_suffix="_other")
    differs = pc.not_equal(both["predicted"], both["predicted_other"])
    return dict(zip(both["digest"].to_pylist(), differs.to_pylist(), strict=True))


def _bound(differs: list[bool]) -> float:
    test = binomtest(sum(differs), len(differs), alternative="less")
    return float(test.proportion_ci(CONFIDENCE, method="exact").high)
