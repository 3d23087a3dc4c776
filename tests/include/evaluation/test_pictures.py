import base64
import io

import numpy as np
import pytest
from PIL import Image

from include.evaluation.calibration import measure_reliability
from include.evaluation.pictures import draw_confusion, draw_reliability, embed_image


def test_the_confusion_matrix_shows_counts():
    figure = draw_confusion(np.array([[3, 1], [0, 2]]), ["cat", "dog"], "6 test images")
    axes = figure.axes[0]
    assert sorted(text.get_text() for text in axes.texts) == ["1", "2", "3"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "dog"]


def test_the_reliability_diagram_shows_accuracy_over_confidence():
    reliability = measure_reliability(np.array([0.9, 0.92, 0.6, 0.6]), np.array([True, False, True, True]))
    above, below = draw_reliability(reliability, "4 test images").axes
    assert [bar.get_height() for bar in above.patches] == [1.0, 0.5]
    assert sum(bar.get_height() for bar in below.patches) == 4
    assert "0.405" in above.texts[0].get_text()


@pytest.mark.parametrize(
    ("shape", "size"), [((32, 32, 3), (32, 32)), ((400, 100, 3), (24, 96)), ((1, 500, 3), (96, 1))]
)
def test_an_image_is_embedded_small_and_in_its_colours(shape, size):
    pixels = np.zeros(shape, dtype=np.uint8)
    pixels[..., 0] = 200
    uri = embed_image(pixels)
    shown = Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/png;base64,"))))
    assert shown.size == size
    assert shown.getpixel((0, 0)) == (200, 0, 0)
