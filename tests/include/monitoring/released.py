"""Releases for tests that need one and not its making."""

from include.contracts import DatasetRef, ModelRef, ModelVersionRef, ReleaseRef
from include.storage import digest_bytes


def make_release(name: str) -> ReleaseRef:
    digest = digest_bytes(name.encode())
    dataset = DatasetRef(project="digits", address="x", version=1, digest=digest, images=9, labelled=9)
    model = ModelRef(project="digits", key=digest, run_id="run", weights=digest, dataset=dataset)
    version = ModelVersionRef(model=model, version=len(name), accuracy=0.9)
    return ReleaseRef(model=version, address=name, digest=digest, parity=0)
