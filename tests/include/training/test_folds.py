from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from include.contracts import FoldReport
from include.errors import DataQualityError
from include.project import TuningConfig
from include.training.folds import cross_validate, deal_folds, log_folds, open_validation


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
