import pytest

from include.contracts import ErasureReport
from include.ledger.audit import verify_chain
from include.ledger.erasures import (
    find_images_of,
    find_receipt,
    list_erasures,
    list_forgotten,
    list_marked_models,
    name_subject,
    record_erasure,
    refuse_forever,
)
from include.ledger.models import record_candidate
from include.storage import digest_bytes
from include.storage.signing import canonical_json
from tests.include.ledger.test_lineage import publish as publish

FACE = digest_bytes(b"face")
OTHER = digest_bytes(b"other")
THIRD = digest_bytes(b"third")


def make_receipt(*images, subject=None, project="digits"):
    return ErasureReport(
        project=project,
        images=images,
        subject=name_subject(subject) if subject else None,
        reason="asked to",
        requested_by="admin",
        versions=(1,),
        version=2,
        files=(),
        models=(),
        sources=("a.png",),
    )


def test_what_is_forgotten_is_refused_however_often_it_is_asked(ledger):
    for _ in range(2):
        refuse_forever(ledger, "digits", [FACE, name_subject("jane")])
    refuse_forever(ledger, "digits", [])
    assert list_forgotten(ledger, "digits") == {FACE, name_subject("jane")}
    assert list_forgotten(ledger, "leaves") == frozenset()


def test_the_ledger_does_not_keep_the_key_of_a_subject():
    assert name_subject("jane") == digest_bytes(b"jane")
    assert "jane" not in name_subject("jane")


@pytest.mark.parametrize("asked", [(FACE,), ()])
def test_a_receipt_is_found_for_what_it_covers(ledger, asked):
    receipt = make_receipt(FACE, OTHER, subject="jane")
    record_erasure(ledger, receipt)
    assert find_receipt(ledger, "digits", asked, name_subject("jane")) == receipt
    assert find_receipt(ledger, "digits", (*asked, digest_bytes(b"new")), None) is None
    assert find_receipt(ledger, "digits", asked, name_subject("joe")) is None
    assert find_receipt(ledger, "leaves", asked, None) is None


def test_receipts_are_listed_newest_first(ledger):
    first, second = make_receipt(FACE), make_receipt(OTHER)
    assert [record_erasure(ledger, one) for one in (first, second)] == [1, 2]
    assert [receipt for receipt, _ in list_erasures(ledger, "digits")] == [second, first]


def test_every_erasure_is_on_the_audit_chain_with_the_digest_of_its_receipt(ledger, store):
    receipt = make_receipt(FACE, OTHER, subject="jane")
    number = record_erasure(ledger, receipt)
    ((entry,), _) = verify_chain(ledger, "digits", store)
    assert (entry.kind, entry.subject) == ("override", f"erasure {number}")
    assert (entry.who, entry.why) == ("admin", "asked to")
    document = canonical_json(receipt.model_dump(mode="json"))
    assert entry.payload == {"images": 2, "receipt": digest_bytes(document)}


def test_models_that_learned_from_it_are_marked(ledger, make_model, make_dataset, publish):
    publish(1, FACE, OTHER, THIRD)
    publish(2, THIRD)
    model = record_candidate(ledger, make_model("one", "run-7"))
    without = make_model("two", "run-8")
    record_candidate(ledger, without.model_copy(update={"dataset": make_dataset(2)}))
    assert list_marked_models(ledger, "digits") == {}
    refuse_forever(ledger, "digits", [FACE, OTHER])
    assert list_marked_models(ledger, "digits") == {model.key: "run-7"}
    assert list_marked_models(ledger, "leaves") == {}


def test_a_model_recorded_after_the_erasure_is_marked_too(ledger, make_model, publish):
    publish(1, FACE, OTHER)
    refuse_forever(ledger, "digits", [FACE])
    record_erasure(ledger, make_receipt(FACE))
    publish(2, OTHER)
    model = record_candidate(ledger, make_model("late", "run-9"))
    assert list_marked_models(ledger, "digits") == {model.key: "run-9"}


def test_the_key_of_a_subject_leaves_the_ledger_with_its_images(ledger, publish):
    publish(1, FACE, OTHER)
    assert find_images_of(ledger, "digits", f"of {FACE}") == [FACE]
    record_erasure(ledger, make_receipt(FACE, subject=f"of {FACE}"))
    assert find_images_of(ledger, "digits", f"of {FACE}") == []
    assert find_images_of(ledger, "digits", f"of {OTHER}") == [OTHER]
