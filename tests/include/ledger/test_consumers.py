from include.contracts import ModelVersionRef
from include.ledger.consumers import list_consumers
from include.ledger.models import record_candidate, record_model_version


def test_models_are_listed_newest_first_with_the_version_they_learned_from(ledger, make_model):
    for name in ("one", "two"):
        record_candidate(ledger, make_model(name, run_id=f"run-{name}"))
    record_model_version(ledger, ModelVersionRef(model=make_model("one"), version=4, accuracy=0.9))
    newest, oldest = list_consumers(ledger, "digits")
    assert (newest.run_id, newest.dataset_version, newest.certified) == ("run-two", 1, None)
    assert (oldest.run_id, oldest.key, oldest.certified) == ("run-one", make_model("one").key, 4)
    assert newest.trained_at >= oldest.trained_at


def test_another_project_has_none(ledger, make_model):
    record_candidate(ledger, make_model("one"))
    assert list_consumers(ledger, "plankton") == []
