import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.stats import beta

from include.contracts import EvaluationReport, PromotionDecision, StrategyDecision
from include.deployment.agreement import expect_disagreement
from include.deployment.rollout import start
from include.ledger.models import record_decision
from include.ledger.rollouts import find_rollout
from include.ledger.tables import memberships
from include.project import DeploymentPolicy, JudgePolicy
from include.storage import digest_bytes
from tests.rollouts import serve


def image(number):
    return digest_bytes(f"image {number}".encode())


def bound(differing, images):
    """Upper bound of Clopper and Pearson, by the quantile of the beta distribution."""
    return beta.ppf(0.95, differing + 1, images - differing)


@pytest.fixture
def publish(store):
    def write(name, predicted):
        table = pa.table({"digest": [image(n) for n in range(len(predicted))], "predicted": predicted})
        buffer = io.BytesIO()
        pq.write_table(table, buffer)
        store.write(f"digits/evaluations/{name}.parquet", buffer.getvalue())
        return f"digits/evaluations/{name}.parquet"

    return write


@pytest.fixture
def decide(ledger, release_of):
    """Record the decision on version 2, measured beside version 1."""

    def record(mine, other):
        shared = {"test_digest": image(0), "images": 1, "accuracy": 1, "macro_f1": 1, "worst_class_recall": 1}
        shared |= {"recall_by_class": {}, "accuracy_by_partition": {}}
        reports = [
            EvaluationReport(model=release_of(version).model.model, answers=answers, **shared)
            for version, answers in ((2, mine), (1, other))
        ]
        record_decision(
            ledger, PromotionDecision(verdict="promote", candidate=reports[0], champion=reports[1], reasons=())
        )

    return record


@pytest.fixture
def place(ledger):
    """Put images into partitions of the dataset."""

    def write(partitions):
        rows = [
            {"project": "digits", "digest": image(n), "partition": name, "since_version": 1, "source": f"{n}.png"}
            for n, name in enumerate(partitions)
        ]
        with ledger.begin() as connection:
            connection.execute(memberships.insert(), rows)

    return write


def test_the_bound_is_that_of_all_images(publish, decide, release_of, ledger, store):
    decide(publish("mine", ["1"] * 95 + ["2"] * 5), publish("other", ["1"] * 100))
    assert expect_disagreement(release_of(2), release_of(1), ledger, store) == pytest.approx(bound(5, 100))


def test_the_partition_that_differs_most_counts_where_it_is_large_enough(
    publish, decide, place, release_of, ledger, store
):
    decide(publish("mine", ["1"] * 140 + ["2"] * 20), publish("other", ["1"] * 160))
    place(["monday"] * 100 + ["tuesday"] * 60)
    assert expect_disagreement(release_of(2), release_of(1), ledger, store) == pytest.approx(bound(20, 60))
    place([f"tiny {n}" for n in range(160)])
    assert expect_disagreement(release_of(2), release_of(1), ledger, store) == pytest.approx(bound(20, 60))


def test_only_images_that_both_were_asked_about_count(publish, decide, release_of, ledger, store):
    decide(publish("mine", ["1"] * 10), publish("other", ["1"] * 8 + ["2"] * 2 + ["3"] * 90))
    assert expect_disagreement(release_of(2), release_of(1), ledger, store) == pytest.approx(bound(2, 10))


@pytest.mark.parametrize(("configured", "limit"), [(None, bound(5, 100) + 0.05), (0.5, 0.5)])
def test_a_rollout_is_judged_by_it_unless_the_project_names_a_limit(
    publish, decide, release_of, ledger, store, project, configured, limit
):
    policy = DeploymentPolicy(judge=JudgePolicy(max_disagreement=configured))
    decide(publish("mine", ["1"] * 95 + ["2"] * 5), publish("other", ["1"] * 100))
    serve(ledger, release_of(1))
    decision = StrategyDecision(strategy="canary", recommended="canary", reasons=())
    configured_project = project.model_copy(update={"deployment": policy})
    rollout = start(release_of(2), decision, configured_project, ledger, store, "run-2")
    kept = DeploymentPolicy.model_validate(find_rollout(ledger, rollout.id).policy)
    assert kept.judge.max_disagreement == pytest.approx(limit)


def test_nobody_knows_where_they_were_not_measured_side_by_side(publish, decide, release_of, ledger, store):
    assert expect_disagreement(release_of(2), release_of(1), ledger, store) is None
    mine, other = publish("mine", ["1"]), publish("other", ["1"])
    decide(mine, other)
    assert expect_disagreement(release_of(2), release_of(3), ledger, store) is None
    assert expect_disagreement(release_of(2), release_of(1), ledger, store) == pytest.approx(0.95)
    store.remove(other)
    assert expect_disagreement(release_of(2), release_of(1), ledger, store) is None
