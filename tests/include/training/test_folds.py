from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest

from include.contracts import FoldReport
from include.errors import DataQualityError
from include.project import TuningConfig
from include.training import folds
from include.training.epochs import Epoch
from include.training.folds import cross_validate, deal_folds, join_twins, log_folds, open_validation
from include.vision.schema import IMAGES
from tests.include.rows import make_row


@pytest.fixture
def validated(quick_project):
    tuning = TuningConfig(folds=3)
    return quick_project.model_copy(update={"tuning": tuning})


def test_no_group_is_in_two_folds_and_classes_are_spread_evenly():
    targets = np.repeat([0, 1], [90, 30])
    groups = [f"{target}-{number // 3}" for number, target in enumerate(targets)]
    dealt = deal_folds(targets, groups, 5, seed=17)
    assert {len({dealt[i] for i in range(len(dealt)) if groups[i] == group}) for group in groups} == {1}
    shares = [float(np.mean(targets[dealt == fold])) for fold in range(5)]
    assert max(shares) - min(shares) < 0.06
    assert np.array_equal(dealt, deal_folds(targets, groups, 5, seed=17))
    assert not np.array_equal(dealt, deal_folds(targets, groups, 5, seed=18))


def test_a_class_with_fewer_groups_than_folds_is_refused():
    with pytest.raises(DataQualityError, match="class number 1 has 1 groups"):
        deal_folds(np.array([0, 0, 0, 1, 1, 1]), ["a", "b", "c", "d", "d", "d"], 3, seed=0)


def test_near_duplicates_and_what_they_chain_together_are_one_cluster(digit_images):
    first, second, third, fourth = (pixels for pixels, _ in digit_images[:4])
    brighter = np.minimum(second.astype(int) + 3, 255).astype(np.uint8)
    shown = [first, second, brighter, third, fourth]
    rows = [make_row(pixels, "0", index) for index, pixels in enumerate(shown)]
    # The third image is a twin of the second and in one group with the fourth.
    rows[3]["group"] = rows[2]["group"]
    clusters = list(join_twins(pa.Table.from_pylist(rows, schema=IMAGES), 4).values())
    assert clusters[1] == clusters[2] == clusters[3]
    assert len(set(clusters)) == 3
    apart = list(join_twins(pa.Table.from_pylist(rows, schema=IMAGES), 0).values())
    assert len(set(apart)) == 4
    assert join_twins(pa.Table.from_pylist([], schema=IMAGES), 4) == {}


@pytest.mark.parametrize("bits", [4, 0])
def test_twins_are_learned_from_or_measured_on_but_not_both(
    validated, publish, digit_images, store, ledger, tracking, monkeypatch, bits
):
    brighter = [(np.minimum(pixels.astype(int) + 3, 255).astype(np.uint8), label) for pixels, label in digit_images]
    dataset = publish([*digit_images[:60], *brighter[:60]], split=lambda _: "train")
    data = validated.data.model_copy(update={"near_duplicate_bits": bits})
    shown = []

    def fit(config, classes, train, validation, *_):
        shown.append([{image.tobytes() for image in samples.images} for samples in (train, validation)])
        return None, Epoch(1, 1.0, 1.0, 1.0, 0.1, 1.0)

    monkeypatch.setattr(folds, "fit_classifier", fit)
    cross_validate(validated.model_copy(update={"data": data}), dataset, store, ledger, tracking, 0)
    learned, measured = shown[0]
    torn = [
        one
        for (one, _), (other, _) in zip(digit_images[:60], brighter[:60], strict=True)
        if (one.tobytes() in measured) != (other.tobytes() in measured)
    ]
    assert len(learned) + len(measured) == 120
    assert bool(torn) == (bits == 0)


def test_every_unsealed_image_is_measured_once_and_no_sealed_one(
    validated, publish, digit_images, store, ledger, tracking
):
    dataset = publish(digit_images[:200])
    with ThreadPoolExecutor(3) as pool:
        reports = list(
            pool.map(lambda fold: cross_validate(validated, dataset, store, ledger, tracking, fold), range(3))
        )
    # Of eight images two are sealed; twins of those are left out.
    assert 100 < sum(report.images for report in reports) <= 150

    name, run = open_validation(validated, dataset, ledger, tracking)
    measures = log_folds(reports, tracking, run.run_id)
    accuracies = [report.accuracy for report in reports]
    assert measures["folds_accuracy_mean"] == pytest.approx(np.mean(accuracies))
    assert measures["folds_accuracy_sd"] == pytest.approx(np.std(accuracies, ddof=1))
    with tracking.connect() as client:
        runs = client.search_runs([tracking.find_experiment(validated.name)], f"tags.`windhover.study` = '{name}'")
    assert sorted(run.data.tags["windhover.part"] for run in runs) == ["fold 0", "fold 1", "fold 2", "study"]


def test_the_same_fold_gives_the_same_figures(validated, publish, digit_images, store, ledger, tracking):
    dataset = publish(digit_images[:200])
    first, second = (cross_validate(validated, dataset, store, ledger, tracking, 1) for _ in range(2))
    assert isinstance(first, FoldReport)
    assert first == second
