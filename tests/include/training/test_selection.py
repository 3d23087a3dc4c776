from datetime import timedelta

import pytest
import sqlalchemy as sa

from include.contracts import DatasetRef, ModelRef
from include.errors import ArtifactNotFoundError, ContractViolationError
from include.ledger.models import record_candidate
from include.ledger.tables import dataset_versions
from include.storage import digest_bytes
from include.training.selection import override_training, select_dataset
from tests.include.rows import MOMENT


@pytest.fixture
def publish_version(ledger):
    """Record a dataset version."""

    def publish(version, labelled, project="digits"):
        digest = digest_bytes(f"{version}".encode())
        counts = {"version": version, "digest": digest, "images": 9, "labelled": labelled}
        dataset = DatasetRef(project=project, address=f"{project}/images.lance", **counts)
        row = {"project": project, "version": version, "digest": digest, "dataset": dataset.model_dump(mode="json")}
        with ledger.begin() as connection:
            connection.execute(sa.insert(dataset_versions).values(row))
        return dataset

    return publish


@pytest.fixture
def train(ledger):
    """Record a candidate trained on a dataset."""

    def record(dataset, name="model"):
        key = digest_bytes(name.encode())
        record_candidate(ledger, ModelRef(project=dataset.project, key=key, run_id="r", weights=key, dataset=dataset))

    return record


def test_without_a_dataset_it_says_what_to_run(project, ledger, store, publish_version):
    publish_version(1, 5, project="parts")
    with pytest.raises(ArtifactNotFoundError, match=r"digits has no published dataset yet; .*digits\.ingest_images"):
        select_dataset(project, ledger, store, required=True)


def test_the_newest_version_is_taken_not_the_last_recorded(project, ledger, store, publish_version):
    newest = publish_version(10, 5)
    publish_version(9, 5)
    assert select_dataset(project, ledger, store, required=False) == newest


def test_images_without_new_labels_teach_nothing_unless_somebody_asks(project, ledger, store, publish_version, train):
    train(publish_version(1, 5))
    unlabelled = publish_version(2, 5)
    assert select_dataset(project, ledger, store, required=False) is None
    assert select_dataset(project, ledger, store, required=True) == unlabelled


@pytest.mark.parametrize("labelled", [4, 6])
def test_labels_that_came_or_went_are_worth_a_training(project, ledger, store, publish_version, train, labelled):
    train(publish_version(1, 5))
    changed = publish_version(2, labelled)
    assert select_dataset(project, ledger, store, required=False) == changed


@pytest.mark.parametrize(("labelled", "enough"), [(9, False), (10, True), (1, False)])
def test_fewer_new_labels_than_the_project_wants_start_no_training(
    project, ledger, store, publish_version, train, labelled, enough
):
    policy = project.monitoring.retraining.model_copy(update={"min_new_images": 5})
    monitoring = project.monitoring.model_copy(update={"retraining": policy})
    train(publish_version(1, 5))
    changed = publish_version(2, labelled)
    wanted = project.model_copy(update={"monitoring": monitoring})
    assert (select_dataset(wanted, ledger, store, required=False) == changed) == enough


def test_another_projects_candidate_does_not_count(project, ledger, store, publish_version, train):
    train(publish_version(1, 5, project="parts"))
    dataset = publish_version(1, 5)
    assert select_dataset(project, ledger, store, required=False) == dataset


def test_a_form_overrides_what_it_fills_in_and_nothing_else(project):
    chosen = override_training(project, {"epochs": 3, "seed": 0, "learning_rate": None})
    assert (chosen.training.epochs, chosen.training.seed) == (3, 0)
    assert chosen.training.learning_rate == project.training.learning_rate
    assert chosen.model_copy(update={"training": project.training}) == project
    assert override_training(project, {}) == project


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"epochs": 0}, r"the run's form: epochs: .*greater than or equal to 1"),
        ({"epoch": 3}, "did you mean 'epochs'?"),
    ],
)
def test_an_impossible_form_names_the_field(project, form, message):
    with pytest.raises(ContractViolationError, match=message):
        override_training(project, form)


def test_as_of_a_moment_the_newest_version_is_taken_as_it_was_known(
    publish, quick_project, ledger, store, digit_images
):
    dataset = publish(digit_images[:16])
    row = {"project": dataset.project, "version": dataset.version, "digest": dataset.digest}
    with ledger.begin() as connection:
        connection.execute(sa.insert(dataset_versions).values(row | {"dataset": dataset.model_dump(mode="json")}))
    seen = MOMENT.replace(tzinfo=None)
    then = select_dataset(quick_project, ledger, store, required=True, as_of=seen)
    assert (then.version, then.as_of, then.digest) == (dataset.version, MOMENT, dataset.digest)
    before = select_dataset(quick_project, ledger, store, required=True, as_of=seen - timedelta(days=1))
    assert (before.images, before.labelled) == (0, 0)
