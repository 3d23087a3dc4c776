"""Copies of the releases that one process serves, so that it can start while the store is away."""

from collections.abc import Collection
from pathlib import Path

from include.contracts import ReleaseRef
from include.errors import ContractViolationError
from include.serving.model import ServedModel, load_model
from include.storage import Store
from include.storage.signing import TRUST
from include.vision.releases import MANIFEST, open_release


class BundleCopies:
    """The bundles of one process on its own disk, and the keys that their certificates are held against.

    :param folder: Local folder that no other process uses.
    :param store: Where bundles and keys come from.
    :param brought: Bundles that came with this process's image, which need not be fetched.
    """

    def __init__(self, folder: Path, store: Store, brought: Store | None = None) -> None:
        self._copies = Store(str(folder))
        self._store = store
        self._brought = brought

    def load(self, release: ReleaseRef) -> ServedModel:
        """Copy a release unless that was done before, verify the copy against the keys of the store, and load it.

        :raises Exception: as `load_model`.
        """
        if not self._copies.exists(release.address):
            source = self._brought if self._brought and self._brought.exists(release.address) else self._store
            self._copies.publish_folder(open_release(source, release).folder, release.address)
        try:
            model = load_model(self._copies, release, trust=self._store)
        except ContractViolationError:
            # The damage may be the copy's own; the next attempt copies again.
            self._copies.remove(release.address)
            raise
        self._copy_keys()
        return model

    def restore(self, release: ReleaseRef) -> ServedModel:
        """Load a release that was verified before, without the store.

        :raises Exception: as `load_model`.
        """
        return load_model(self._copies, release)

    def keep_only(self, addresses: Collection[str]) -> None:
        """Remove the copies of all other releases."""
        held = {address.rpartition("/")[0] for address in self._copies.list("", MANIFEST)}
        for address in held.difference(addresses):
            self._copies.remove(address)

    def _copy_keys(self) -> None:
        trusted = self._store.list(TRUST)
        for key in trusted:
            self._copies.write(key, self._store.read(key))
        for key in set(self._copies.list(TRUST)).difference(trusted):
            self._copies.remove(key)
