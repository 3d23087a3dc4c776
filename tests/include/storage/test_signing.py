import json
import stat
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from include.errors import ContractViolationError
from include.settings import REPOSITORY
from include.storage.signing import KEY_FILE, Signer, canonical_json, read_signed, trust_address

DOCUMENT = {"b": [1, 0.1, None, {"ä": True}], "a": "text"}
MAKE_KEY = """
import sys
from pathlib import Path
from include.storage import Store
from include.storage.signing import Signer
print(Signer(Path(sys.argv[1]), Store(sys.argv[2])).name)
"""


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture
def signer(home, any_store):
    return Signer(home, any_store)


def test_what_was_signed_is_read_back_on_any_store(signer, any_store):
    assert read_signed(signer.sign(DOCUMENT), any_store) == DOCUMENT


def test_the_key_is_made_once_for_its_owner_alone(home, store):
    first = Signer(home, store)
    assert Signer(home, store).name == first.name
    assert stat.S_IMODE((home / KEY_FILE).stat().st_mode) == 0o600
    assert [path.name for path in (home / "secrets").iterdir()] == ["signing_key"]
    assert store.list("trust") == [trust_address(first.name)]
    assert b"PRIVATE" not in store.read(trust_address(first.name))


@pytest.mark.timeout(60)
def test_processes_that_sign_first_at_once_agree_on_the_key(home, store):
    command = [sys.executable, "-c", MAKE_KEY, str(home), store.root]
    attempts = [subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert {attempt.communicate()[0].strip() for attempt in attempts} == {Signer(home, store).name}
    assert len(store.list("trust")) == 1


def test_another_machine_signs_with_a_key_of_its_own_that_is_trusted_too(signer, tmp_path, any_store):
    other = Signer(tmp_path / "other", any_store)
    assert other.name != signer.name
    assert read_signed(other.sign(DOCUMENT), any_store) == DOCUMENT


@pytest.mark.parametrize(
    "change",
    [
        lambda envelope: envelope["document"].update(a="Text"),
        lambda envelope: envelope["document"].pop("a"),
        lambda envelope: envelope["document"].update(c=1),
        lambda envelope: envelope["document"]["b"].reverse(),
        lambda envelope: envelope.update(signature=envelope["signature"][::-1]),
        lambda envelope: envelope.update(signature=""),
        lambda envelope: envelope.update(signature=None),
        lambda envelope: envelope.update(key="sha256:" + "0" * 64),
        lambda envelope: envelope.update(key="../../etc/passwd"),
        lambda envelope: envelope.update(key=[]),
        lambda envelope: envelope.update(note="more"),
        lambda envelope: envelope.pop("key"),
        lambda envelope: envelope.update(document=[]),
    ],
)
def test_any_change_is_refused(signer, any_store, change):
    envelope = json.loads(signer.sign(DOCUMENT))
    change(envelope)
    with pytest.raises(ContractViolationError):
        read_signed(canonical_json(envelope), any_store)


@pytest.mark.parametrize("respell", [bytes.upper, lambda data: data + b" ", lambda data: b'{"key":"x",' + data[1:]])
def test_another_spelling_of_the_same_is_refused(signer, any_store, respell):
    with pytest.raises(ContractViolationError):
        read_signed(respell(signer.sign(DOCUMENT)), any_store)


@pytest.mark.parametrize("data", [b"", b"null", b"[]", b"\xff", b"{", b"{}"])
def test_what_is_no_signed_document_is_refused(any_store, data):
    with pytest.raises(ContractViolationError, match="not a signed document"):
        read_signed(data, any_store)


def test_a_stranger_is_not_trusted(signer, tmp_path, store, any_store):
    stranger = Signer(tmp_path / "stranger", store)
    any_store.remove(trust_address(stranger.name))
    with pytest.raises(ContractViolationError, match="nobody here trusts"):
        read_signed(stranger.sign(DOCUMENT), any_store)


def test_a_key_under_the_name_of_another_is_not_trusted(signer, any_store):
    other = Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for planted, reason in ((other, "another key than its name"), (b"?", "no public key")):
        any_store.write(trust_address(signer.name), planted)
        with pytest.raises(ContractViolationError, match=reason):
            read_signed(signer.sign(DOCUMENT), any_store)


def test_a_damaged_key_is_not_silently_replaced(home, store):
    (home / KEY_FILE).parent.mkdir(parents=True)
    (home / KEY_FILE).write_text("")
    with pytest.raises(ContractViolationError, match="no private key; restore it"):
        Signer(home, store)


def test_a_number_that_is_none_is_not_signed(signer):
    with pytest.raises(ContractViolationError, match="cannot be signed"):
        signer.sign({"accuracy": float("nan")})
