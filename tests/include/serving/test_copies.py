import shutil

import pytest

from include.errors import ArtifactNotFoundError, ContractViolationError, NotCertifiedError
from include.serving.copies import BundleCopies
from include.storage import Store


@pytest.fixture
def store(any_store):
    return any_store


@pytest.fixture
def copies(tmp_path, store):
    return BundleCopies(tmp_path / "copies", store)


def test_what_was_loaded_once_can_be_restored_without_the_store(copies, store, make_release):
    release = make_release(3, embedding=True)
    copies.load(release)
    for address in [*store.list("digits/releases"), *store.list("trust")]:
        store.remove(address)
    assert copies.restore(release).manifest.model_version == 3


def test_what_was_never_loaded_cannot_be_restored(copies, make_release):
    with pytest.raises(ArtifactNotFoundError, match="no release at"):
        copies.restore(make_release())


def test_a_bundle_that_is_damaged_or_missing_in_the_store_is_not_copied(tmp_path, make_release, store):
    release = make_release()
    path = f"{release.address}/golden/000.png"
    store.write(path, b"not a picture")
    copies = BundleCopies(tmp_path / "copies", store)
    with pytest.raises(ContractViolationError):
        copies.load(release)
    store.remove(release.address)
    with pytest.raises(ArtifactNotFoundError, match="no release at"):
        copies.load(release)
    assert not list(tmp_path.glob("copies/digits/releases/*"))


def test_a_copy_is_held_against_the_keys_that_the_store_trusts_now(copies, store, make_release):
    release = make_release()
    copies.load(release)
    (key,) = store.list("trust")
    store.remove(key)
    with pytest.raises(NotCertifiedError, match="nobody here trusts"):
        copies.load(release)


def test_a_damaged_copy_is_copied_anew_by_the_next_attempt(copies, make_release, tmp_path):
    release = make_release()
    copies.load(release)
    shutil.rmtree(tmp_path / "copies" / release.address / "golden")
    with pytest.raises(ContractViolationError, match="damaged"):
        copies.load(release)
    assert copies.load(release).release == release


def test_copies_that_no_plan_needs_are_removed(copies, make_release, tmp_path):
    kept, dropped = make_release(1), make_release(2, name="defects")
    for release in (kept, dropped):
        copies.load(release)
    copies.keep_only({kept.address})
    assert copies.restore(kept).release == kept
    with pytest.raises(ArtifactNotFoundError):
        copies.restore(dropped)


def test_a_bundle_that_the_image_brings_along_need_not_be_fetched(tmp_path, make_release, store):
    release = make_release(5)
    brought = Store(str(tmp_path / "brought"))
    brought.publish_folder(store.fetch(release.address), release.address)
    store.remove(release.address)
    copies = BundleCopies(tmp_path / "copies", store, brought)
    assert copies.load(release).manifest.model_version == 5
    brought.remove(release.address)
    assert copies.restore(release).manifest.model_version == 5


def test_what_the_image_does_not_bring_along_comes_from_the_store(tmp_path, make_release, store):
    copies = BundleCopies(tmp_path / "copies", store, Store(str(tmp_path / "nothing")))
    assert copies.load(make_release(6)).manifest.model_version == 6
