import pytest

from include.errors import NotCertifiedError
from include.storage.signing import Signer
from include.vision.certificates import certificate_address, read_certificate


def test_every_version_has_an_address_of_its_own():
    assert certificate_address("digits", 3) == "digits/certificates/3.json"


@pytest.mark.parametrize("data", [b"", b"{}", b"null", b"\x80\x04pickle"])
def test_what_is_not_signed_is_no_certificate(any_store, data):
    with pytest.raises(NotCertifiedError, match="does not verify: not a signed document"):
        read_certificate(data, any_store)


def test_another_signed_document_is_no_certificate(any_store, tmp_path):
    """The head of an audit chain is signed by the same key."""
    head = Signer(tmp_path, any_store).sign({"project": "digits", "sequence": 1, "hash": "sha256:" + "a" * 64})
    with pytest.raises(NotCertifiedError, match="does not verify"):
        read_certificate(head, any_store)
