"""Read certificates, and hold releases against theirs."""

from pydantic import ValidationError

from include.contracts import ReleaseRef
from include.contracts.governance import Certificate
from include.errors import ArtifactNotFoundError, ContractViolationError, NotCertifiedError
from include.storage import Store, digest_bytes
from include.storage.signing import read_signed
from include.vision.releases import Bundle


def certificate_address(project: str, version: int) -> str:
    """Address of the signed certificate of a version."""
    return f"{project}/certificates/{version}.json"


def read_certificate(signed: bytes, store: Store) -> Certificate:
    """Return a certificate whose signature holds.

    :raises NotCertifiedError: it was changed, no trusted key signed it, or it is no certificate of a promotion.
    """
    try:
        certificate = Certificate.model_validate(read_signed(signed, store))
    except (ContractViolationError, ValidationError) as error:
        raise NotCertifiedError(f"the certificate does not verify: {error}") from error
    if certificate.decision.verdict != "promote" or certificate.decision.candidate.model != certificate.model:
        raise NotCertifiedError(
            f"the certificate of version {certificate.version} rests on the verdict {certificate.decision.verdict!r} "
            f"about model {certificate.decision.candidate.model.key}, not on a promotion of {certificate.model.key}"
        )
    return certificate


def require_certificate(release: ReleaseRef, bundle: Bundle, store: Store) -> Certificate:
    """Return the certificate of a release, once it is about this very model and graph.

    :raises NotCertifiedError: there is none, it does not verify, or it is about something else.
    """
    try:
        certificate = read_certificate(bundle.certificate.read_bytes(), store)
    except (FileNotFoundError, NotCertifiedError, ArtifactNotFoundError) as error:
        reason = "it carries no certificate" if isinstance(error, FileNotFoundError) else str(error)
        raise NotCertifiedError(
            f"release {bundle.digest} is not served: {reason}; see docs/runbook.md, certificate refused"
        ) from error
    manifest, model = bundle.manifest, certificate.model
    pairs = {
        "project": (manifest.project, model.project),
        "version": (manifest.model_version, certificate.version),
        "model": (manifest.model_key, model.key),
        "weights": (manifest.weights, model.weights),
        "dataset": (manifest.dataset, model.dataset.digest),
        "graph": (digest_bytes(bundle.graph.read_bytes()), certificate.graph),
        "reference": (release.model.model, model),
        "referenced version": (release.model.version, certificate.version),
    }
    wrong = [f"{name} is {found}, certified is {wanted}" for name, (found, wanted) in pairs.items() if found != wanted]
    if wrong:
        raise NotCertifiedError(
            f"release {bundle.digest} is not what its certificate is about: {'; '.join(wrong)}; "
            "see docs/runbook.md, certificate refused"
        )
    return certificate
