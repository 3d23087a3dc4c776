from include.ledger.certificates import find_certificate, record_certificate
from include.storage import digest_bytes

KEY = digest_bytes(b"model")


def test_the_first_certificate_of_a_version_stays_byte_for_byte(ledger):
    assert find_certificate(ledger, "digits", 1) is None
    assert record_certificate(ledger, "digits", 1, KEY, b"\x00first") == b"\x00first"
    assert record_certificate(ledger, "digits", 1, KEY, b"second") == b"\x00first"
    assert find_certificate(ledger, "digits", 1) == b"\x00first"
    assert find_certificate(ledger, "parts", 1) is None
