"""Compare two models on the same test images: how sure is the difference between them?"""

from collections.abc import Collection, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.stats import binomtest

from include.contracts import ComparisonReport, Digest, EvaluationReport
from include.errors import ContractViolationError
from include.evaluation.totals import Measure, Parts, Totals, Values, list_measures, split_answers, tabulate_costs
from include.project import Project
from include.storage import Store
from include.storage.parquet import read_table

RESAMPLES = 2000
ALWAYS = ("accuracy", "macro_f1", "log_loss")
# Images times classes, ranked anew for each resample: the largest take minutes.
MAX_RANKED = 500_000
# Weights at once: 32 MB.
BLOCK = 4_000_000
# Accuracies are fractions of counts: differences below this are rounding.
ROUNDING = 1e-9

Hits = NDArray[np.bool_]
Numbers = NDArray[np.int64]


def compare_models(
    candidate: EvaluationReport, champion: EvaluationReport, project: Project, store: Store
) -> tuple[ComparisonReport, ...]:
    """Compare two models by the answers they gave to the same test images.

    Compared are accuracy, macro F1, log loss, the expected cost if the project declares costs, the measure to be
    better on, and each gated measure that follows from the answers to single images. A difference comes with the
    percentile interval of a paired bootstrap (Efron and Tibshirani 1993, chapter 13): 2,000 resamples, the same for
    both models, seeded by the test digest, so that a retry finds the same interval. Resampled are whole groups, for
    images of one specimen are no independent evidence (Davison and Hinkley 1997, section 3.8). Accuracy comes with
    the p-value of an exact sign test of the groups that one model answers better, too; where images stand alone,
    that is McNemar's (1947). The area under the ROC curve of very many images is compared only to be better on.

    :raises ContractViolationError: answers are missing, are not those a report is about, or are about other images
        than the rival's.
    """
    ours, theirs = (_read_answers(report, project, store) for report in (candidate, champion))
    _check_pairing(ours, theirs)
    measures = _choose_measures(project, candidate.images)
    parts = _split(ours, project), _split(theirs, project)
    points = [_measure(one, np.ones((1, candidate.images)), measures.values()) for one in parts]
    groups = _number_groups(ours)
    differences = draw_differences(*parts, groups, measures.values(), candidate.test_digest)
    tail = (1 - project.promotion.confidence) / 2
    low, high = np.quantile(differences, [tail, 1 - tail], axis=0)
    return tuple(
        ComparisonReport(
            measure=name,
            better=better,
            candidate=points[0][0, index],
            champion=points[1][0, index],
            low=low[index],
            high=high[index],
            p_value=_test_signs(_hits(ours), _hits(theirs), groups) if name == "accuracy" else None,
            groups=int(groups.max()) + 1,
        )
        for index, (name, (better, _)) in enumerate(measures.items())
    )


def draw_differences(
    candidate: Parts, champion: Parts, groups: Numbers, measures: Collection[Measure], seed: Digest
) -> Values:
    """Draw differences of measures, candidate less champion: [2000, measures].

    :param groups: Number of each image's group [N].
    """
    drawn = _draw(groups, np.random.default_rng(int(seed.removeprefix("sha256:"), 16)))
    return np.concatenate(
        [_measure(candidate, weights, measures) - _measure(champion, weights, measures) for weights in drawn]
    )


def _test_signs(candidate: Hits, champion: Hits, groups: Numbers) -> float:
    """Return the chance that models of equal accuracy win groups as unevenly as these: exact, two-sided."""
    gains = np.bincount(groups, weights=candidate.astype(np.float64) - champion)
    won, lost = int(np.sum(gains > 0)), int(np.sum(gains < 0))
    return float(binomtest(won, won + lost).pvalue) if won + lost else 1.0


def _number_groups(answers: pa.Table) -> Numbers:
    """Number groups as they appear [N], so that images that stand alone are drawn in their own order."""
    numbers = answers["group"].combine_chunks().dictionary_encode().indices
    return np.asarray(numbers.to_numpy(), dtype=np.int64)


def _draw(groups: Numbers, chance: np.random.Generator) -> Iterator[Values]:
    """Yield how often each image is in each resample of groups, in blocks [B, N] that fit into memory."""
    block, count = max(1, BLOCK // len(groups)), int(groups.max()) + 1
    for start in range(0, RESAMPLES, block):
        rows = min(block, RESAMPLES - start)
        picks = chance.integers(count, size=(rows, count)) + count * np.arange(rows)[:, None]
        drawn = np.bincount(picks.ravel(), minlength=rows * count).reshape(rows, count)
        yield drawn[:, groups].astype(np.float64)


def _measure(parts: Parts, weights: Values, measures: Collection[Measure]) -> Values:
    totals = Totals.weigh(parts, weights)
    return np.column_stack([measure(totals) for _, measure in measures])


def _choose_measures(project: Project, images: int) -> dict[str, Measure]:
    costs = ["expected_cost"] if project.evaluation.costs else []
    gated = [gate.measure for gate in project.promotion.gates]
    known, wanted = list_measures(project.classes), [*ALWAYS, *costs, project.promotion.better_on, *gated]
    if images * len(project.classes) > MAX_RANKED and project.promotion.better_on != "auc_roc":
        del known["auc_roc"]
    return {name: known[name] for name in wanted if name in known}


def _read_answers(report: EvaluationReport, project: Project, store: Store) -> pa.Table:
    again = f"evaluate model {report.model.key} again"
    if not report.answers:
        raise ContractViolationError(f"the evaluation on {report.test_digest} kept no answers to compare; {again}")
    table = read_table(store, report.answers)
    lengths = pc.unique(pc.list_value_length(table["probabilities"])).to_pylist()
    if table.num_rows != report.images or lengths != [len(project.classes)]:
        raise ContractViolationError(
            f"{report.answers} holds {table.num_rows} answers with {lengths} probabilities each, not {report.images} "
            f"with {len(project.classes)}, one a class; {again}"
        )
    if "group" not in table.column_names:
        # Answers of earlier releases do not tell; their certificates are still verified.
        table = table.append_column("group", table["digest"])
    accuracy = float(_hits(table).mean())
    if abs(accuracy - report.accuracy) > ROUNDING:
        raise ContractViolationError(
            f"{report.answers} amounts to an accuracy of {accuracy:.6f}, not {report.accuracy:.6f} as reported; {again}"
        )
    return table


def _check_pairing(candidate: pa.Table, champion: pa.Table) -> None:
    for column in ("digest", "group", "label"):
        if not candidate[column].combine_chunks().equals(champion[column].combine_chunks()):
            raise ContractViolationError(
                f"candidate and champion answered {candidate.num_rows} and {champion.num_rows} images whose {column}s "
                "are not the same in the same order; evaluate both on the candidate's dataset"
            )


def _hits(table: pa.Table) -> Hits:
    return np.asarray(pc.equal(table["label"], table["predicted"]).to_numpy(zero_copy_only=False))


def _split(table: pa.Table, project: Project) -> Parts:
    classes = pa.array(project.classes)
    true, predicted = (
        pc.fill_null(pc.index_in(table[column], value_set=classes), len(classes)).to_numpy()
        for column in ("label", "predicted")
    )
    probabilities = pc.list_flatten(table["probabilities"]).to_numpy().reshape(table.num_rows, -1)
    costs = tabulate_costs(project.evaluation.costs, project.classes)
    return split_answers(true, predicted, probabilities.astype(np.float64), costs)
