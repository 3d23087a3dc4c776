import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.cbook import get_sample_data
from PIL import Image, ImageEnhance

from include.project import DataConfig
from include.vision.decoding import read_canonical
from include.vision.fingerprints import fingerprint, reduce_image
from include.vision.statistics import image_statistics


@pytest.fixture(scope="module")
def photographs():
    with Image.open(get_sample_data("grace_hopper.jpg", asfileobj=False)) as whole:
        whole.load()
    corners = [(left, top) for left in range(0, 240, 60) for top in range(0, 300, 60)]
    return [whole.crop((left, top, left + 256, top + 256)).convert("RGB") for left, top in corners]


def save_again(image, quality=60):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)


def hash_all(images):
    return fingerprint([np.asarray(image) for image in images]).phash


def count_bits(one, other):
    return np.bitwise_count((one ^ other).view(np.uint64))


@pytest.mark.parametrize(
    "change",
    [
        save_again,
        lambda image: image.resize((128, 128), Image.Resampling.BICUBIC),
        lambda image: image.resize((350, 300), Image.Resampling.BICUBIC),
        lambda image: ImageEnhance.Brightness(image).enhance(0.9),
        lambda image: image.convert("L").convert("RGB"),
    ],
)
def test_the_hash_of_the_same_picture_stays_near(photographs, change):
    changed = hash_all([change(image) for image in photographs])
    assert count_bits(hash_all(photographs), changed).max() <= 6


def test_the_hashes_of_different_pictures_lie_apart():
    noise = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
    found = hash_all([Image.fromarray(image).resize((64, 64), Image.Resampling.BICUBIC) for image in noise])
    apart = count_bits(found[:, None], found[None])[~np.eye(40, dtype=bool)]
    assert 28 <= np.median(apart) <= 34
    assert apart.min() > 10


def test_the_hash_is_that_of_its_definition(photographs):
    """Zauner's, written out for one image in double precision."""
    luma = reduce_image(photographs[0]).astype(float) @ [0.299, 0.587, 0.114] / 255
    cells = luma.reshape(32, 2, 32, 2).mean(axis=(1, 3))
    place = np.arange(32)
    basis = np.cos(np.pi / 32 * np.outer(np.arange(8), place + 0.5))
    low = basis @ cells @ basis.T
    bits = "".join("01"[int(value > np.median(low))] for value in low.ravel())
    assert np.bitwise_count(hash_all(photographs[:1]).view(np.uint64)[0] ^ np.uint64(int(bits, 2))) <= 1


def test_plain_images_have_one_hash_whatever_their_rounding():
    plain = hash_all([Image.new("RGB", (50, 40), (grey, grey, grey + 1)) for grey in range(1, 255, 9)])
    assert len(set(plain.tolist())) == 1


def test_the_embedding_is_the_mean_luma_of_cells():
    cells = np.random.default_rng(0).integers(0, 256, (16, 16), dtype=np.uint8)
    image = np.kron(cells, np.ones((4, 4), np.uint8))[..., None].repeat(3, axis=2)
    assert (fingerprint([image]).embedding[0] == cells.ravel()).all()


def test_light_is_measured_as_while_serving(photographs):
    small = [image.resize((64, 64), Image.Resampling.BICUBIC) for image in photographs]
    found = fingerprint([np.asarray(image) for image in small])
    expected = [image_statistics(np.asarray(image)) for image in small]
    for name in ("brightness", "contrast"):
        assert getattr(found, name) == pytest.approx([row[name] for row in expected], rel=1e-3)
    assert found.sharpness == pytest.approx([row["sharpness"] for row in expected], rel=0.3)


def test_saturation_tells_colour_from_grey():
    found = fingerprint(
        [np.full((9, 9, 3), colour, np.uint8) for colour in ((255, 0, 0), (90, 90, 90), (200, 100, 100))]
    )
    assert found.saturation == pytest.approx([1, 0, 0.5])


def test_a_blurred_picture_is_less_sharp(photographs):
    blurred = [image.resize((16, 16)).resize((256, 256)) for image in photographs]
    sharp, dull = (fingerprint([np.asarray(image) for image in images]).sharpness for images in (photographs, blurred))
    assert (dull < sharp).all()


@pytest.mark.parametrize("size", [(64, 64), (700, 500), (130, 1000), (513, 511)])
def test_what_a_shrinking_decoder_hands_on_gives_nearly_the_fingerprint_of_the_whole_image(photographs, size):
    for photograph in photographs:
        data = save_again(photograph.resize(size)).fp.getvalue()
        canonical = read_canonical(data, DataConfig())
        whole = fingerprint([np.asarray(Image.open(io.BytesIO(data)))])
        found = fingerprint([canonical.pixels])
        assert count_bits(found.phash[0], whole.phash[0]) <= 4
        assert np.abs(found.embedding.astype(int) - whole.embedding).mean() < 4
        for name in ("brightness", "contrast", "saturation"):
            assert getattr(found, name)[0] == pytest.approx(getattr(whole, name)[0], abs=0.02), name


@settings(max_examples=60, deadline=None)
@given(sizes=st.lists(st.tuples(st.integers(1, 300), st.integers(1, 300)), max_size=20), seed=st.integers(0, 9))
def test_any_images_give_finite_fingerprints_one_by_one_as_together(sizes, seed):
    rng = np.random.default_rng(seed)
    images = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
    together = fingerprint(images)
    assert together.phash.dtype == np.int64
    assert together.embedding.shape == (len(images), 256)
    assert together.embedding.dtype == np.uint8
    for name in ("brightness", "contrast", "saturation", "sharpness"):
        values = getattr(together, name)
        assert values.dtype == np.float32
        assert values.shape == (len(images),)
        assert ((values >= 0) & np.isfinite(values)).all()
    for number, image in enumerate(images):
        alone = vars(fingerprint([image]))
        assert all((alone[name][0] == column[number]).all() for name, column in vars(together).items())
