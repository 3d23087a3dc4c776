import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from statsmodels.stats.contingency_tables import mcnemar

from include.contracts import DatasetRef, EvaluationReport, ModelRef
from include.errors import ArtifactNotFoundError, ContractViolationError
from include.evaluation import compare
from include.evaluation.compare import BLOCK, compare_models
from include.project import EvaluationConfig, GateConfig, Project, PromotionPolicy
from include.storage import digest_bytes

CLASSES = ("cat", "dog")
PROJECT = Project(name="pets", classes=CLASSES)
TEST = digest_bytes(b"test")


@pytest.fixture
def answer(store):
    """Keep a model's answers, as an evaluation does, and report on them."""

    def make(name, right, labels=None, groups=None, **changes):
        right = np.asarray(right, dtype=bool)
        true = np.resize([0, 1], len(right)) if labels is None else np.asarray(labels)
        said = np.where(right, true, 1 - true)
        table = pa.table(
            {
                "digest": [digest_bytes(str(index).encode()) for index in range(len(right))],
                "label": np.array(CLASSES)[true],
                "predicted": np.array(CLASSES)[said],
                "probabilities": pa.array(np.where(np.eye(2)[said] > 0, 0.8, 0.2).tolist(), pa.list_(pa.float32())),
            }
        )
        if groups is not None:
            table = table.append_column("group", pa.array(map(str, groups)))
        for column, values in changes.items():
            table = table.set_column(table.column_names.index(column), column, values)
        written = io.BytesIO()
        pq.write_table(table, written)
        address = f"pets/evaluations/{name}.parquet"
        store.write(address, written.getvalue())
        digest = digest_bytes(name.encode())
        dataset = DatasetRef(project="pets", address="a", version=1, digest=digest, images=9, labelled=9)
        return EvaluationReport(
            model=ModelRef(project="pets", key=digest, run_id=name, weights=digest, dataset=dataset),
            test_digest=TEST,
            images=len(right),
            accuracy=float(right.mean()),
            macro_f1=0.5,
            worst_class_recall=0.5,
            recall_by_class={},
            accuracy_by_partition={},
            answers=address,
        )

    return make


def draw(accuracy, images=200, seed=0):
    return np.random.default_rng(seed).random(images) < accuracy


def test_compares_what_the_policy_needs_and_no_more(answer, store):
    gates = tuple(GateConfig(measure=name, max=1) for name in ("calibration_error", "recall_dog", "auc_roc", "latency"))
    policy = PromotionPolicy(gates=gates, better_on="balanced_accuracy")
    evaluation = EvaluationConfig(costs={"cat": {"dog": 9.0}})
    project = PROJECT.model_copy(update={"promotion": policy, "evaluation": evaluation})
    reports = answer("new", draw(0.9)), answer("old", draw(0.8, seed=1))
    names = [one.measure for one in compare_models(*reports, PROJECT, store)]
    assert names == ["accuracy", "macro_f1", "log_loss"]
    names += ["expected_cost", "balanced_accuracy", "calibration_error", "recall_dog", "auc_roc"]
    assert [one.measure for one in compare_models(*reports, project, store)] == names


def test_numbers_of_a_small_case_by_hand(answer, store):
    accuracy, f1, loss = compare_models(answer("new", [1, 1, 1, 1]), answer("old", [1, 1, 0, 0]), PROJECT, store)
    assert (accuracy.candidate, accuracy.champion, f1.candidate) == (1.0, 0.5, 1.0)
    assert accuracy.p_value == 0.5
    assert (loss.candidate, loss.champion) == pytest.approx((-np.log(0.8), -np.log(0.8 * 0.2) / 2))
    assert loss.gain == pytest.approx((loss.champion - loss.candidate, -loss.high, -loss.low))


@pytest.mark.parametrize(("ours", "theirs"), [(0.9, 0.8), (0.85, 0.85), (0.5, 0.95)])
def test_chance_is_what_statsmodels_says_it_is(answer, store, ours, theirs):
    new, old = draw(ours), draw(theirs, seed=1)
    accuracy = compare_models(answer("new", new), answer("old", old), PROJECT, store)[0]
    table = [[np.sum(new & old), np.sum(new & ~old)], [np.sum(~new & old), np.sum(~new & ~old)]]
    assert accuracy.p_value == pytest.approx(mcnemar(table, exact=True).pvalue)


def test_the_interval_is_that_of_the_paired_difference(answer, store):
    new, old = draw(0.9), draw(0.8, seed=1)
    accuracy = compare_models(answer("new", new), answer("old", old), PROJECT, store)[0]
    gains = new.astype(float) - old
    half = 1.96 * gains.std() / np.sqrt(len(gains))
    assert (accuracy.low, accuracy.high) == pytest.approx((gains.mean() - half, gains.mean() + half), abs=0.01)


def test_images_of_one_group_are_one_piece_of_evidence(answer, store):
    new, old = draw(0.9, 50), draw(0.8, 50, seed=1)
    alone = compare_models(answer("new", new), answer("old", old), PROJECT, store)
    groups = np.arange(200) % 50
    again = [np.tile(one, 4) for one in (new, old)]
    bursts, blind = (
        compare_models(answer("new", again[0], **known), answer("old", again[1], **known), PROJECT, store)
        for known in ({"groups": groups}, {})
    )
    assert (alone[0].groups, bursts[0].groups, blind[0].groups) == (50, 50, 200)
    # Photographing everything four times teaches nothing new.
    assert (bursts[0].low, bursts[0].high, bursts[0].p_value) == pytest.approx(
        (alone[0].low, alone[0].high, alone[0].p_value)
    )
    assert blind[0].high - blind[0].low < 0.6 * (bursts[0].high - bursts[0].low)
    assert blind[0].p_value < bursts[0].p_value


def test_groups_of_different_size_and_order(answer, store):
    groups = [0, 1, 1, 2, 2, 2, 0, 1]
    new, old = [1, 1, 1, 1, 0, 0, 1, 1], [1, 0, 0, 0, 1, 1, 0, 0]
    accuracy = compare_models(answer("new", new, groups=groups), answer("old", old, groups=groups), PROJECT, store)[0]
    # The candidate wins the first two groups, the champion the third.
    assert (accuracy.groups, accuracy.p_value) == (3, 1.0)
    assert (accuracy.low, accuracy.high) == pytest.approx((-1 / 3, 1.0))


def test_models_that_saw_other_groups_are_refused(answer, store):
    with pytest.raises(ContractViolationError, match="groups"):
        compare_models(answer("new", [1, 1], groups=[0, 0]), answer("old", [1, 1]), PROJECT, store)


def test_ranking_takes_too_long_for_millions(answer, store, monkeypatch):
    promotion = PromotionPolicy(gates=(GateConfig(measure="auc_roc", min=0.5),))
    project = PROJECT.model_copy(update={"promotion": promotion})
    reports = answer("new", draw(0.9)), answer("old", draw(0.8, seed=1))
    assert "auc_roc" in {one.measure for one in compare_models(*reports, project, store)}
    monkeypatch.setattr(compare, "MAX_RANKED", 399)
    assert "auc_roc" not in {one.measure for one in compare_models(*reports, project, store)}
    better = project.model_copy(update={"promotion": promotion.model_copy(update={"better_on": "auc_roc"})})
    assert "auc_roc" in {one.measure for one in compare_models(*reports, better, store)}


def test_more_confidence_is_a_wider_interval(answer, store):
    reports = answer("new", draw(0.9)), answer("old", draw(0.8, seed=1))
    widths = []
    for confidence in (0.5, 0.8, 0.95, 0.99):
        project = PROJECT.model_copy(update={"promotion": PromotionPolicy(confidence=confidence)})
        comparison = compare_models(*reports, project, store)[0]
        widths.append(comparison.high - comparison.low)
    assert widths == sorted(set(widths))


def test_a_retry_finds_the_same_and_another_test_set_draws_anew(answer, store):
    reports = answer("new", draw(0.9)), answer("old", draw(0.8, seed=1))
    once, again = (compare_models(*reports, PROJECT, store) for _ in range(2))
    assert once == again
    others = [one.model_copy(update={"test_digest": digest_bytes(b"other")}) for one in reports]
    drawn = compare_models(*others, PROJECT, store)
    assert [one.candidate for one in drawn] == [one.candidate for one in once]
    assert [one.low for one in drawn] != [one.low for one in once]


def test_a_model_is_no_better_than_itself(answer, store):
    report = answer("new", draw(0.9))
    for comparison in compare_models(report, report, PROJECT, store):
        assert comparison.gain == (0, 0, 0)
    assert compare_models(report, report, PROJECT, store)[0].p_value == 1.0


@pytest.mark.parametrize("images", [1, 2])
def test_a_handful_of_images_gives_a_number_and_no_crash(answer, store, images):
    compared = compare_models(answer("new", [1] * images), answer("old", [0] * images), PROJECT, store)
    assert compared[0].gain == (1, 1, 1)


def test_many_images_are_resampled_in_blocks(answer, store):
    images = 20_000
    assert BLOCK // images < 2000
    accuracy = compare_models(answer("new", draw(0.9, images)), answer("old", draw(0.89, images, 1)), PROJECT, store)[0]
    assert accuracy.high - accuracy.low == pytest.approx(
        2 * 1.96 * np.sqrt((0.9 * 0.1 + 0.89 * 0.11) / images), rel=0.1
    )


def test_other_images_are_refused(answer, store):
    other = pa.array([digest_bytes(b"?"), *(digest_bytes(str(index).encode()) for index in range(1, 4))])
    rivals = answer("old", [1, 1, 1, 0], digest=other), answer("older", [1, 1, 1, 0], [1, 1, 0, 1])
    for rival, column in zip(rivals, ("digests", "labels"), strict=True):
        with pytest.raises(ContractViolationError, match=column):
            compare_models(answer("new", [1, 1, 1, 1]), rival, PROJECT, store)
    with pytest.raises(ContractViolationError, match="4 and 3 images"):
        compare_models(answer("new", [1, 1, 1, 1]), answer("old", [1, 1, 1]), PROJECT, store)


def test_the_same_images_in_another_order_are_refused(answer, store):
    digests = [digest_bytes(str(index).encode()) for index in (1, 0, 2, 3)]
    rival = answer("old", [1, 1, 1, 0], [0, 0, 0, 0], digest=pa.array(digests))
    with pytest.raises(ContractViolationError, match="same order"):
        compare_models(answer("new", [1, 1, 1, 1], [0, 0, 0, 0]), rival, PROJECT, store)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"answers": ""}, "kept no answers to compare"),
        ({"accuracy": 0.99}, "amounts to an accuracy of 0.750000, not 0.990000"),
        ({"images": 5}, "holds 4 answers"),
    ],
)
def test_answers_that_a_report_is_not_about_are_refused(answer, store, changes, message):
    report = answer("new", [1, 1, 1, 0])
    with pytest.raises(ContractViolationError, match=message):
        compare_models(report.model_copy(update=changes), answer("old", [1, 1, 0, 0]), PROJECT, store)


def test_answers_of_a_project_of_other_classes_are_refused(answer, store):
    project = PROJECT.model_copy(update={"classes": (*CLASSES, "bird")})
    with pytest.raises(ContractViolationError, match="probabilities each, not 4 with 3"):
        compare_models(answer("new", [1, 1, 1, 0]), answer("old", [1, 1, 0, 0]), project, store)


def test_answers_that_are_gone_are_an_error_and_no_pass(answer, store):
    report = answer("new", [1, 0]).model_copy(update={"answers": "pets/evaluations/none.parquet"})
    with pytest.raises(ArtifactNotFoundError):
        compare_models(report, answer("old", [1, 1]), PROJECT, store)
