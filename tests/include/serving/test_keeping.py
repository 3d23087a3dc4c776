import io

import numpy as np
import pytest
from PIL import Image

from include.serving import keeping as keeping_module
from include.serving.keeping import ImageKeeper, image_address
from include.storage import Store

IMAGE = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
REQUEST = "digits-" + "0" * 32


@pytest.fixture
def keeper(tmp_path, store):
    return ImageKeeper(tmp_path / "images", store)


def run_once(keeper):
    keeper.start()
    keeper.stop()


def test_a_file_is_kept_as_it_was_sent(keeper, store):
    address = keeper.keep("digits", REQUEST, IMAGE, b"the file")
    assert address == image_address("digits", REQUEST) == f"digits/images/served/{REQUEST}"
    run_once(keeper)
    assert store.read(address) == b"the file"


def test_pixels_without_a_file_are_kept_losslessly(keeper, store):
    address = keeper.keep("digits", REQUEST, IMAGE, None)
    run_once(keeper)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(store.read(address)))), IMAGE)


def test_what_a_dead_process_left_is_published_by_the_next(keeper, store, tmp_path):
    address = keeper.keep("digits", REQUEST, IMAGE, b"the file")
    run_once(ImageKeeper(tmp_path / "images", store))
    assert store.read(address) == b"the file"
    run_once(keeper)


def test_images_wait_while_the_store_is_away_and_more_than_fit_are_not_kept(tmp_path, store, monkeypatch):
    monkeypatch.setattr(keeping_module, "MAX_WAITING", 2)
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the store should be")
    keeper = ImageKeeper(tmp_path / "images", Store(str(blocked)))
    kept = [keeper.keep("digits", f"digits-{number:032x}", IMAGE, b"the file") for number in range(3)]
    assert kept[2] is None
    run_once(keeper)
    run_once(heir := ImageKeeper(tmp_path / "images", store))
    assert [store.read(address) for address in kept[:2]] == [b"the file"] * 2
    assert heir.keep("digits", REQUEST, IMAGE, b"room again") is not None


def test_a_disk_that_takes_nothing_costs_the_image_and_not_the_answer(keeper, tmp_path, caplog):
    (tmp_path / "images" / "digits").write_text("a file where the folder should be")
    assert keeper.keep("digits", REQUEST, IMAGE, b"the file") is None
    assert "is not kept" in caplog.text
    assert [path.name for path in (tmp_path / "images").iterdir()] == ["digits"]


def test_a_torn_image_holds_up_no_other(keeper, store, tmp_path, caplog):
    first, second = f"digits-{1:032x}", f"digits-{2:032x}"
    keeper.keep("digits", first, IMAGE, None)
    address = keeper.keep("digits", second, IMAGE, b"the file")
    (tmp_path / "images" / "digits" / f"{first}.npy").write_bytes(b"")
    run_once(keeper)
    assert store.list("digits/images") == [address]
    assert "torn" in caplog.text
    assert list((tmp_path / "images" / "digits").iterdir()) == []
