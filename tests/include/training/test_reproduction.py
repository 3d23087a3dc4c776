import shutil

import pytest

from include.contracts import ModelVersionRef
from include.errors import ArtifactNotFoundError
from include.ledger.models import record_model_version
from include.training import provenance
from include.training.fit import train_candidate
from include.training.provenance import describe_environment
from include.training.reproduction import compare_inputs, reproduce_model


@pytest.fixture
def version(quick_project, publish, digit_images, store, ledger, tracking):
    """A registered version, whose run says in which environment it was trained."""
    dataset = publish(digit_images[:200])
    model = train_candidate(quick_project, dataset, store, ledger, tracking, "first")
    with tracking.connect() as client:
        for name, value in describe_environment(quick_project).items():
            client.set_tag(model.run_id, name, value)
    record_model_version(ledger, ModelVersionRef(model=model, version=1, accuracy=0.9))
    return model


def test_the_same_inputs_give_the_same_model(version, quick_project, store, ledger, tracking):
    report = reproduce_model(quick_project, 1, store, ledger, tracking)
    assert (report.identical, report.differences) == (True, ())
    assert report.repeated == version.weights
    assert len(report.metrics) == 5
    assert all(then == now for then, now in report.metrics.values())


def test_the_versions_own_settings_count_and_not_those_of_today(version, quick_project, store, ledger, tracking):
    today = quick_project.model_copy(
        update={"training": quick_project.training.model_copy(update={"epochs": 1, "seed": 99})}
    )
    assert reproduce_model(today, 1, store, ledger, tracking).identical


def test_what_differs_is_named_with_both_values(version, quick_project, store, ledger, tracking, monkeypatch):
    monkeypatch.setattr(provenance, "LOCK", provenance.LOCK.with_name("requirements.txt"))
    monkeypatch.setattr(provenance.platform, "python_version", lambda: "3.99.0")
    lock, python = reproduce_model(quick_project, 1, store, ledger, tracking).differences
    assert lock.startswith("lock: sha256:")
    assert python.endswith(", now 3.99.0")


def test_what_was_not_recorded_is_no_match(quick_project):
    tags = describe_environment(quick_project)
    del tags["windhover.torch"]
    code, torch = compare_inputs(tags, quick_project)
    assert code.startswith("code: not recorded, now sha256:")
    assert torch.startswith("torch: not recorded")


def test_a_version_or_a_dataset_that_is_gone_is_named(version, quick_project, store, ledger, tracking):
    with pytest.raises(ArtifactNotFoundError, match="has no version 2"):
        reproduce_model(quick_project, 2, store, ledger, tracking)
    shutil.rmtree(store.path(version.dataset.address))
    with pytest.raises(ArtifactNotFoundError, match=f"version {version.dataset.version} of"):
        reproduce_model(quick_project, 1, store, ledger, tracking)
