import pyarrow as pa
import pytest

from include.ledger.datasets import MEMBER_COLUMNS, Members, record_publication
from include.ledger.leases import hold_lease
from include.ledger.lineage import find_descendants, find_memberships, list_version_numbers
from include.ledger.models import record_candidate
from include.ledger.releases import record_release

MEMBERS = pa.schema([(name, pa.string()) for name in MEMBER_COLUMNS])


@pytest.fixture
def publish(ledger, make_dataset):
    """Record a dataset version that holds exactly these images, each delivered as a file of its name."""

    def record(version, *images, project="digits"):
        rows = [
            {"digest": name, "partition": "2026-03-01", "source": f"{name}.png", "subject": f"of {name}"}
            for name in images
        ]
        members = Members(pa.Table.from_pylist(rows, schema=MEMBERS))
        with hold_lease(ledger, f"{project}/images", "test") as lease:
            record_publication(ledger, lease, make_dataset(version, project), members)

    return record


@pytest.fixture
def train(ledger, make_model, make_dataset):
    def record(name, version, run_id="run"):
        model = make_model(name, run_id).model_copy(update={"dataset": make_dataset(version)})
        return record_candidate(ledger, model)

    return record


def test_an_image_is_a_member_from_its_first_version_to_the_first_without_it(ledger, publish):
    publish(2, "a", "b")
    publish(3, "a", "b", "c")
    publish(4, "b", "c")
    publish(5, "a", "b", "c")
    assert [(one.since, one.until) for one in find_memberships(ledger, "digits", image="a")] == [(2, 4), (5, None)]
    assert [(one.since, one.until) for one in find_memberships(ledger, "digits", image="c")] == [(3, None)]
    assert [one.digest for one in find_memberships(ledger, "digits", source="b.png")] == ["b"]
    assert find_memberships(ledger, "digits", image="d") == []
    assert list_version_numbers(ledger, "digits") == [2, 3, 4, 5]


def test_only_models_of_versions_that_held_the_image_descend_from_it(ledger, publish, train):
    publish(2, "a")
    publish(3, "b")
    publish(4, "a", "b")
    before, without, after = (train(name, version) for name, version in (("x", 2), ("y", 3), ("z", 4)))
    found = find_descendants(ledger, "digits", "a")
    assert [(one.model_key, one.version, one.release) for one in found] == [(before.key, 2, None), (after.key, 4, None)]
    assert {one.model_key for one in find_descendants(ledger, "digits", "b")} == {without.key, after.key}


def test_every_release_of_a_descendant_is_named(ledger, publish, train, make_release):
    publish(1, "a")
    release = make_release("one")
    model = release.model.model
    record_candidate(ledger, model)
    for digest in ("1", "2"):
        record_release(ledger, release.model_copy(update={"digest": "sha256:" + 64 * digest}))
    found = find_descendants(ledger, "digits", "a")
    assert [(one.run_id, one.release) for one in found] == [
        (model.run_id, "sha256:" + 64 * "1"),
        (model.run_id, "sha256:" + 64 * "2"),
    ]


def test_projects_do_not_see_each_other(ledger, publish, train):
    publish(1, "a")
    publish(1, "a", project="leaves")
    train("x", 1)
    assert find_descendants(ledger, "leaves", "a") == []
    assert len(find_memberships(ledger, "leaves", image="a")) == 1
