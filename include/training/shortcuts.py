"""Find, before anything is trained, what a model could learn instead of what images show.

A trivial model gets one cue at a time, and never a picture. What it finds out about labels of images that it has not
seen is a shortcut that a network may take too: Geirhos et al., "Shortcut learning in deep neural networks" (2020).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from include.contracts import DatasetRef
from include.contracts.learning import CueReport, ShortcutReport
from include.project import Project
from include.storage import Store
from include.training.giveaways import Giveaways, describe
from include.vision.images import open_version, read_rows
from include.vision.twins import find_leaks

# How the images came to be, which says nothing of what they show; and how they look, which may.
CIRCUMSTANCES = ("dimensions", "jpeg_tables", "source", "capture_time")
APPEARANCES = ("file_size", "border", "corners", "colour", "brightness", "noise")
CUES = (*CIRCUMSTANCES, *APPEARANCES)
# Least effect on all labels, or on one class, that is called a shortcut. Digits are told apart by the ink on their
# border to 0.5, a 1 by its file size to 0.8: a look may be signal, up to a degree; a circumstance never is.
LEAST = dict.fromkeys(CIRCUMSTANCES, (0.1, 0.3)) | dict.fromkeys(APPEARANCES, (0.65, 0.93))
# What shows less of most objects than the middle of the image does: from how much more on, it is a shortcut, too.
CONTROLS = {"border": "inner_border", "corners": "inner_corners"}
LEAST_EXCESS = 0.2
ALPHA = 0.01
PERMUTATIONS = 5_000
FOLDS = 3
TREES = 30
MAX_IMAGES = 1_000
BATCH_ROWS = 16
# Of twins, where the project looks for none itself.
TWIN_BITS = 4
EXAMINED = ("train", "validation")
FINGERPRINT = ("phash", "embedding")


@dataclass(frozen=True)
class _Labels:
    """What the labels of the N images are, and what they could be by chance."""

    names: NDArray[np.str_]  # [classes]
    given: NDArray[np.int64]  # [N]: places in `names`
    folds: NDArray[np.int64]  # [N]
    shuffled: NDArray[np.int64]  # [PERMUTATIONS, N]


def find_shortcuts(project: Project, dataset: DatasetRef, store: Store) -> ShortcutReport:
    """Judge every cue of a dataset version, on train and validation images only; the sealed ones are not opened.

    At most `MAX_IMAGES` images are examined, the first by digest, and one of each group: images of one specimen are no
    independent evidence. The same version gives the same report.

    :raises ArtifactNotFoundError: the version is gone, holds other content than the one referred to, or is damaged.
    """
    rows = read_rows(dataset, store, ["digest", "label", "group", "split", *FINGERPRINT])
    labels = _choose(rows, project.classes)
    described = dict(_describe(dataset, labels, project.classes, store))
    digests = sorted(described)
    reports = judge_cues([described[one] for one in digests], [labels[one] for one in digests])
    bits = project.data.near_duplicate_bits
    straddling = {split: int(find_leaks(rows, split, bits or TWIN_BITS).sum()) for split in EXAMINED}
    return ShortcutReport(
        dataset=dataset, images=len(digests), cues=reports, straddling=straddling, left_out=bool(bits)
    )


def judge_cues(giveaways: Sequence[Giveaways], labels: Sequence[str]) -> tuple[CueReport, ...]:
    """Judge each of `CUES`, the strongest first.

    :param giveaways: Of independent images, see `describe`.
    :param labels: Label of each image.
    """
    names, counts = np.unique(labels, return_counts=True)
    enough = np.isin(labels, names[counts >= FOLDS])
    told = np.asarray(labels)[enough]
    if len(set(told)) < 2:
        silent = f"not examined: needs two classes with labelled images of {FOLDS} groups each"
        return tuple(CueReport(cue=cue, observed=silent) for cue in CUES)
    names, given = np.unique(told, return_inverse=True)
    folds = _deal_folds(given)
    known = _Labels(names, given, folds, _shuffle(given, folds))
    examined = [one for one, fit in zip(giveaways, enough, strict=True) if fit]
    reports = [_judge(cue, examined, known) for cue in CUES]
    return tuple(sorted(reports, key=lambda one: (-one.suspicious, -max(one.effect, one.label_effect))))


def _choose(rows: pa.Table, classes: Sequence[str]) -> dict[str, str]:
    """Return the label of each image to examine, by digest."""
    rows = rows.select(["digest", "label", "group", "split"]).sort_by("digest")
    chosen: dict[str, tuple[str, str]] = {}
    for row in rows.to_pylist():
        if len(chosen) < MAX_IMAGES and row["split"] in EXAMINED and row["label"] in classes:
            chosen.setdefault(row["group"], (row["digest"], row["label"]))
    return dict(chosen.values())


def _describe(
    dataset: DatasetRef, wanted: Mapping[str, str], classes: Sequence[str], store: Store
) -> Iterator[tuple[str, Giveaways]]:
    """Yield images as numbers; whatever their size, only a few of them are in memory."""
    listed = ", ".join(f"'{digest}'" for digest in wanted)
    scanner = open_version(dataset, store).scanner(
        columns=["digest", "image", "source", "observed_at", "width", "height"],
        filter=f"digest IN ({listed})" if wanted else "false",
        batch_size=BATCH_ROWS,
        batch_readahead=1,
        fragment_readahead=1,
    )
    for batch in scanner.to_batches():
        for row in batch.to_pylist():
            yield row["digest"], describe(row, classes)


def _judge(cue: str, examined: Sequence[Giveaways], labels: _Labels) -> CueReport:
    values = [one.get(cue, {}) for one in examined]
    if not any(values):
        return CueReport(cue=cue, observed="not examined: no image has it")
    table = _tabulate(values)
    if not table.size:
        return CueReport(cue=cue, observed="the same for every image")
    told = _predict(table, labels)
    effects = _measure(told, labels.given[np.newaxis])[0]
    overall, best = float(effects[0]), int(effects[1:].argmax())
    on_label = float(effects[1 + best])
    p_values = np.minimum(1, _test(told, labels) * 2 * len(CUES))
    sure = p_values <= ALPHA
    strong = np.array([overall, on_label]) >= LEAST[cue]
    suspicious = bool((strong & sure).any()) or (bool(sure[0]) and _exceeds_control(cue, overall, examined, labels))
    label = str(labels.names[best])
    return CueReport(
        cue=cue,
        effect=overall,
        label=label,
        label_effect=on_label,
        p_value=float(p_values.min()),
        suspicious=suspicious,
        observed=f"alone it tells {overall:.0%} of the way from chance to every label, {on_label:.0%} to class {label}",
    )


def _exceeds_control(cue: str, effect: float, examined: Sequence[Giveaways], labels: _Labels) -> bool:
    """Tell whether a cue tells more of all labels than as much of the middle of the images."""
    if cue not in CONTROLS or effect < LEAST_EXCESS:
        return False
    table = _tabulate([one[CONTROLS[cue]] for one in examined])
    control = _measure(_predict(table, labels), labels.given[np.newaxis])[0, 0] if table.size else 0.0
    return bool(effect - max(control, 0.0) >= LEAST_EXCESS)


def _tabulate(values: Sequence[Mapping[str, float]]) -> NDArray[np.float64]:
    """Return a column for each name that varies, and is not of a few images alone: [N, columns]."""
    from sklearn.feature_extraction import DictVectorizer

    table: NDArray[np.float64] = DictVectorizer(sparse=False).fit_transform(values)
    told = ((table != 0).sum(axis=0) >= FOLDS) & (np.ptp(table, axis=0) > 0)
    return table[:, told]


def _deal_folds(given: NDArray[np.int64]) -> NDArray[np.int64]:
    from sklearn.model_selection import StratifiedKFold

    folds = np.empty(len(given), np.int64)
    dealer = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    for fold, (_, held_out) in enumerate(dealer.split(given, given)):
        folds[held_out] = fold
    return folds


def _shuffle(given: NDArray[np.int64], folds: NDArray[np.int64]) -> NDArray[np.int64]:
    """Deal the labels out anew within each fold: [PERMUTATIONS, N]."""
    chance = np.random.default_rng(0)
    shuffled = np.empty((PERMUTATIONS, len(given)), np.int64)
    for fold in range(FOLDS):
        members = np.flatnonzero(folds == fold)
        shuffled[:, members] = chance.permuted(np.tile(given[members], (PERMUTATIONS, 1)), axis=1)
    return shuffled


def _predict(table: NDArray[np.float64], labels: _Labels) -> NDArray[np.int64]:
    """Predict each label by a forest (extremely randomised: Geurts et al., 2006) that did not see it: [N]."""
    from sklearn.ensemble import ExtraTreesClassifier
    from sklearn.model_selection import PredefinedSplit, cross_val_predict

    forest = ExtraTreesClassifier(TREES, min_samples_leaf=3, class_weight="balanced", random_state=0)
    told: NDArray[np.int64] = cross_val_predict(forest, table, labels.given, cv=PredefinedSplit(labels.folds))
    return told


def _test(told: NDArray[np.int64], labels: _Labels) -> NDArray[np.float64]:
    """Return the chance of telling as much of all labels, and of any one class, where there is nothing to tell: [2].

    In a fold, labels that its model never saw are dealt out anew, which is exact. Folds learn from each other's labels,
    so that they agree by chance; twice the mean of their p-values holds in spite of it: Vovk and Wang, "Combining
    p-values via averaging" (Biometrika, 2020).
    """
    p_values = []
    for fold in range(FOLDS):
        members = labels.folds == fold
        dealt = np.concatenate([labels.given[np.newaxis, members], labels.shuffled[:, members]])
        effects = _measure(told[members], dealt)
        told_by = np.stack([effects[:, 0], effects[:, 1:].max(axis=1)])
        p_values.append((told_by >= told_by[:, :1]).mean(axis=1))
    combined: NDArray[np.float64] = 2 * np.mean(p_values, axis=0)
    return combined


def _measure(told: NDArray[np.int64], given: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the effect on all labels, and Cohen's kappa of each class against the others: [M, 1 + classes].

    :param told: Predicted class of each image [N].
    :param given: True ones, M times [M, N].
    """
    classes = int(given.max()) + 1
    cells = np.stack([np.bincount(told * classes + one, minlength=classes**2) for one in given])
    table = cells.reshape(-1, classes, classes) / len(told)
    right, predicted, true = np.diagonal(table, axis1=1, axis2=2), table.sum(axis=2), table.sum(axis=1)
    recall = (right / true).mean(axis=1, keepdims=True)
    agreed, expected = 1 - predicted - true + 2 * right, predicted * true + (1 - predicted) * (1 - true)
    kappa = (agreed - expected) / (1 - expected)
    return np.concatenate([(recall - 1 / classes) / (1 - 1 / classes), kappa], axis=1)
