"""Sign documents with a machine's Ed25519 key (RFC 8032), and check them with the public keys that the store trusts.

The key lies in the home folder and never leaves it. Its public half lies in the store, below `trust/`, under the
SHA-256 of its 32 bytes: whoever may write there may name signers, so write access to `trust/` is what to guard.
"""

import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from include.errors import ArtifactNotFoundError, ContractViolationError
from include.storage.digests import digest_bytes
from include.storage.store import Store

KEY_FILE = Path("secrets") / "signing_key"
TRUST = "trust"
ENVELOPE = {"document", "key", "signature"}
KEY_NAME = re.compile(r"sha256:[0-9a-f]{64}")
SIGNATURE = re.compile(r"[0-9a-f]{128}")


class Signer:
    """This machine's signature; the first one makes the key.

    :param home: Home folder of this machine; the key lies below it, in `secrets/signing_key`.
    :param store: Where the public half is made known.
    :raises ContractViolationError: the key file holds no Ed25519 key.
    """

    def __init__(self, home: Path, store: Store) -> None:
        self._key = _load_key(home / KEY_FILE)
        public = self._key.public_key()
        self.name = name_key(public)
        if not store.exists(trust_address(self.name)):
            store.write(trust_address(self.name), public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))

    def sign(self, document: dict[str, Any]) -> bytes:
        """Return a JSON document with its signature, as `read_signed` takes it."""
        signature = self._key.sign(canonical_json(document)).hex()
        return canonical_json({"document": document, "key": self.name, "signature": signature})


def read_signed(data: bytes, store: Store) -> dict[str, Any]:
    """Return the document of a signed file.

    :raises ContractViolationError: it is not exactly what a trusted key signed.
    """
    try:
        envelope = json.loads(data)
    except ValueError as error:
        raise ContractViolationError(f"not a signed document: {error}") from error
    if not isinstance(envelope, dict) or set(envelope) != ENVELOPE or not isinstance(envelope["document"], dict):
        raise ContractViolationError(f"not a signed document: it must have {', '.join(sorted(ENVELOPE))}")
    key, signature = envelope["key"], envelope["signature"]
    # One document has one spelling, or a change could hide in spaces, in keys said twice, in the case of a digit.
    if not KEY_NAME.fullmatch(str(key)) or not SIGNATURE.fullmatch(str(signature)) or canonical_json(envelope) != data:
        raise ContractViolationError("not a signed document: it is not spelled as it was signed")
    try:
        _find_trusted(key, store).verify(bytes.fromhex(signature), canonical_json(envelope["document"]))
    except InvalidSignature as error:
        raise ContractViolationError(f"changed after it was signed: the signature of {key} does not fit") from error
    document: dict[str, Any] = envelope["document"]
    return document


def canonical_json(document: dict[str, Any]) -> bytes:
    """Spell a document in the one way that is signed: sorted keys, no spaces, no infinities."""
    try:
        return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    except ValueError as error:
        raise ContractViolationError(f"a document with a number that is none cannot be signed: {error}") from error


def trust_address(key: str) -> str:
    """Address of a public key."""
    return f"{TRUST}/{key.removeprefix('sha256:')}.pem"


def name_key(key: Ed25519PublicKey) -> str:
    """Name a key by its content."""
    return digest_bytes(key.public_bytes_raw())


def _find_trusted(name: str, store: Store) -> Ed25519PublicKey:
    try:
        found = load_pem_public_key(store.read(trust_address(name)))
    except ArtifactNotFoundError as error:
        raise ContractViolationError(
            f"signed by {name}, which nobody here trusts: {trust_address(name)} is not in store {store.root}"
        ) from error
    except ValueError as error:
        raise ContractViolationError(f"{trust_address(name)} in store {store.root} is no public key") from error
    if not isinstance(found, Ed25519PublicKey) or name_key(found) != name:
        raise ContractViolationError(f"{trust_address(name)} in store {store.root} is another key than its name says")
    return found


def _load_key(path: Path) -> Ed25519PrivateKey:
    if not path.exists():
        _create_key(path)
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except ValueError as error:
        raise ContractViolationError(f"{path} is no private key; restore it, or remove it for a new one") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ContractViolationError(f"{path} is no Ed25519 key; restore it, or remove it for a new one")
    return key


def _create_key(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    # `mkstemp` makes files of mode 0600. A link refuses a name that another process has taken meanwhile.
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        path.hardlink_to(temporary)
    except FileExistsError:
        pass
    finally:
        Path(temporary).unlink()
