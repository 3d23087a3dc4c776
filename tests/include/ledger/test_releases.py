from collections.abc import Callable

import pytest

from include.contracts import ReleaseRef
from include.errors import ArtifactNotFoundError
from include.ledger import Ledger
from include.ledger.releases import find_release, find_release_of, list_releases_of, record_release


def test_a_release_is_found_as_recorded(ledger: Ledger, make_release: Callable[..., ReleaseRef]):
    release = make_release("a")
    for _ in range(2):
        record_release(ledger, release)
    assert find_release(ledger, "digits", release.digest) == release
    with pytest.raises(ArtifactNotFoundError, match="package the model version first"):
        find_release(ledger, "parts", release.digest)


def test_every_release_of_a_version_is_listed(ledger: Ledger, make_release: Callable[..., ReleaseRef]):
    made = [make_release(name) for name in "ab"]
    for release in made:
        record_release(ledger, release)
    with ledger.begin() as connection:
        found = list_releases_of(connection, "digits", 1), list_releases_of(connection, "digits", 2)
    assert found == (tuple(sorted(release.digest for release in made)), ())


def test_the_release_of_a_version_that_was_packaged_last_is_found(
    ledger: Ledger, make_release: Callable[..., ReleaseRef]
):
    made = [make_release(name) for name in "ba"]
    for release in made:
        record_release(ledger, release)
    assert find_release_of(ledger, "digits", 1) == made[1]
    for project, version in (("digits", 2), ("parts", 1)):
        with pytest.raises(ArtifactNotFoundError, match=f"version {version}"):
            find_release_of(ledger, project, version)
