import pytest

from include.contracts import BatchRef
from include.data.sources.collected import CONTENT, Collection, find_collection, open_collection
from include.errors import ArtifactNotFoundError

BATCH = BatchRef(project="pets", partition="snapshot", uri="/a.zip", collected="pets/collected/x", images=1)


def test_what_was_remembered_comes_back_in_any_store(any_store, tmp_path):
    collection = Collection(
        images=1,
        sources={"1": "https://x/ü"},
        modified={"1": 1.5},
        refused={"2": ("bad_checksum", "no")},
        clips=("a.mp4",),
    )
    (tmp_path / "made" / CONTENT).mkdir(parents=True)
    (tmp_path / "made" / CONTENT / "1").write_bytes(b"one")
    collection.save(tmp_path / "made")
    assert find_collection(any_store, "pets/collected/x") is None
    any_store.publish_folder(tmp_path / "made", "pets/collected/x")
    folder, remembered = open_collection(any_store, BATCH)
    assert remembered == collection
    assert folder.read("1", 10) == b"one"


def test_what_was_removed_is_to_be_collected_again(any_store):
    with pytest.raises(ArtifactNotFoundError, match="collect snapshot again"):
        open_collection(any_store, BATCH)
