from include.ledger.certificates import find_certificate, list_certified_versions, record_certificate
from include.ledger.models import record_model_version
from include.storage import digest_bytes
from tests.plugins.samples import MODEL, VERSION

KEY = digest_bytes(b"model")


def test_the_first_certificate_of_a_version_stays_byte_for_byte(ledger):
    assert find_certificate(ledger, "digits", 1) is None
    assert record_certificate(ledger, "digits", 1, KEY, b"\x00first") == b"\x00first"
    assert record_certificate(ledger, "digits", 1, KEY, b"second") == b"\x00first"
    assert find_certificate(ledger, "digits", 1) == b"\x00first"
    assert find_certificate(ledger, "parts", 1) is None


def test_versions_are_listed_newest_first_with_their_certificates(ledger):
    for number in (1, 2, 3):
        model = MODEL.model_copy(update={"key": digest_bytes(f"{number}".encode())})
        record_model_version(ledger, VERSION.model_copy(update={"model": model, "version": number}))
    record_certificate(ledger, "digits", 2, KEY, b"two")
    listed = list_certified_versions(ledger, "digits", 2)
    assert [(one.version.version, one.signed) for one in listed] == [(3, None), (2, b"two")]
    assert [one.version.version for one in list_certified_versions(ledger, "digits", 2, before=2)] == [1]
    assert list_certified_versions(ledger, "parts", 2) == []
