import io
import pathlib

import numpy as np
import pytest
from matplotlib.cbook import get_sample_data
from PIL import Image, ImageDraw, ImageFont

from include.errors import ContractViolationError
from include.project import DataConfig
from include.vision.blurring import CASCADES, CascadeAnonymiser, blur_regions, load_anonymisers
from include.vision.decoding import read_canonical
from include.vision.stored_images import decode_stored
from include.vision.stripping import strip_jpeg

FACES = DataConfig(blur=("faces",))
# Of the sample photograph: forehead to chin, left, top, right, bottom.
FACE = (170, 120, 360, 320)


class Left:
    """Finds the left half of every image, as somebody's own detector."""

    def __init__(self, models):
        self.models = models

    def find_regions(self, image):
        return [(-5, 0, image.shape[1] // 2, image.shape[0] + 99)]


@pytest.fixture(scope="module")
def portrait():
    with pathlib.Path(get_sample_data("grace_hopper.jpg", asfileobj=False)).open("rb") as file:
        return file.read()


def write_plate():
    plate = Image.new("RGB", (640, 480), (90, 100, 110))
    draw = ImageDraw.Draw(plate)
    draw.rectangle((190, 200, 450, 260), "white", "black", 4)
    draw.text((205, 203), "A123BC 77", "black", ImageFont.load_default(48))
    return plate


def differ(one, other, box):
    left, top, right, bottom = box
    return np.abs(one.astype(int) - other)[top:bottom, left:right]


def test_a_face_is_found_and_cannot_be_found_again(portrait):
    canonical = read_canonical(portrait, FACES)
    before, after = decode_stored(strip_jpeg(portrait).image), decode_stored(canonical.image)
    assert canonical.image.startswith(b"\x89PNG")
    assert (differ(before, after, FACE).max(axis=2) > 0).mean() > 0.8
    assert differ(before, after, (0, 400, 512, 600)).max() == 0
    (finder,) = load_anonymisers(FACES)
    assert len(finder.find_regions(before)) == 1
    assert not finder.find_regions(after)
    assert read_canonical(canonical.image, FACES).image == canonical.image


def test_a_face_is_found_in_a_large_photograph(portrait):
    with Image.open(io.BytesIO(portrait)) as image:
        large = image.resize((2048, 2400))
    (finder,) = load_anonymisers(FACES)
    ((left, top, right, bottom),) = finder.find_regions(np.asarray(large))
    assert 480 < left < 4 * FACE[0]
    assert 350 < top < 4 * FACE[1]
    assert 4 * FACE[2] < right < 1600
    assert 4 * FACE[3] < bottom < 1500


def test_an_image_without_a_face_stays_as_it_is():
    buffer = io.BytesIO()
    Image.new("RGB", (99, 70), "green").save(buffer, "JPEG")
    assert read_canonical(buffer.getvalue(), FACES).image == buffer.getvalue()


def test_a_plate_is_found():
    plate = write_plate()
    blurred = blur_regions(plate, DataConfig(blur=("plates",)))
    assert blurred is not plate
    changed = (np.asarray(plate) != np.asarray(blurred)).any(axis=2)
    assert not changed[:120].any()
    assert not changed[320:].any()
    assert changed[210:250, 220:420].mean() > 0.8


def test_a_detector_of_ones_own_is_loaded_with_its_models_and_kept_inside_the_image():
    data = DataConfig(blur=(f"{__name__}:Left",), blur_models="/models")
    (own,) = load_anonymisers(data)
    assert own.models == "/models"
    image = Image.effect_noise((60, 40), 90).convert("RGB")
    changed = (np.asarray(image) != np.asarray(blur_regions(image, data))).any(axis=(0, 2))
    assert changed[:30].all()
    assert not changed[40:].any()


def test_models_come_from_the_folder_that_is_named(tmp_path):
    (shipped,) = load_anonymisers(FACES)
    with pytest.raises(ContractViolationError, match=CASCADES["faces"]):
        load_anonymisers(DataConfig(blur=("faces",), blur_models=str(tmp_path)))
    (tmp_path / CASCADES["faces"]).write_text("no cascade")
    with pytest.raises(ContractViolationError, match="no cascade"):
        CascadeAnonymiser(tmp_path / CASCADES["faces"])
    assert load_anonymisers(FACES)[0] is shipped


@pytest.mark.parametrize("name", ["ears", "no_such_module:Class", "json:Class", ":", "json:"])
def test_what_is_not_there_is_named(name):
    with pytest.raises(ContractViolationError, match="faces, plates or `module:Class`"):
        load_anonymisers(DataConfig(blur=(name,)))
