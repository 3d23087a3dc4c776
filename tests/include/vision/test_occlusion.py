import io

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from include.vision.occlusion import Occlusion, draw_overlay, measure_occlusion, shrink
from include.vision.releases import open_graph


@pytest.fixture(scope="module")
def looks_at_a_corner():
    """Score the second class by the brightness of the first eight rows and columns alone."""
    constants = {
        "starts": np.array([0, 0]),
        "ends": np.array([8, 8]),
        "axes": np.array([1, 2]),
        "all": np.array([1, 2, 3]),
        "column": np.array([-1, 1]),
        "weights": np.array([[0, 0.02]], np.float32),
        "bias": np.array([0, -2], np.float32),
    }
    nodes = [
        helper.make_node("Slice", ["images", "starts", "ends", "axes"], ["corner"]),
        helper.make_node("Cast", ["corner"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels", "all"], ["brightness"], keepdims=0),
        helper.make_node("Reshape", ["brightness", "column"], ["feature"]),
        helper.make_node("Gemm", ["feature", "weights", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "corner",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", "H", "W", 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 2])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return open_graph(model.SerializeToString())


@pytest.fixture
def bright_corner():
    image = np.zeros((48, 60, 3), np.uint8)
    image[:8, :8] = 255
    return image


def test_only_windows_over_what_matters_cost_the_answer(looks_at_a_corner, bright_corner):
    found = measure_occlusion(looks_at_a_corner, bright_corner, 1)
    assert found.probability == pytest.approx(1 / (1 + np.exp(2 - 0.02 * 255)), abs=1e-6)
    touching = np.array([[top < 8 and left < 8 for left in found.columns] for top in found.rows])
    assert (found.drops[touching] > 0.01).all()
    assert np.abs(found.drops[~touching]).max() < 1e-6
    assert found.drops.argmax() == 0


def test_what_speaks_against_an_answer_has_the_other_sign(looks_at_a_corner, bright_corner):
    found = measure_occlusion(looks_at_a_corner, bright_corner, 0)
    assert found.drops[0, 0] < -0.1
    picture = np.asarray(Image.open(io.BytesIO(draw_overlay(bright_corner, found)))).astype(int)
    assert picture[0, 0, 2] > picture[0, 0, 0] + 100


def test_the_overlay_is_red_where_the_answer_comes_from(looks_at_a_corner, bright_corner):
    found = measure_occlusion(looks_at_a_corner, bright_corner, 1)
    picture = np.asarray(Image.open(io.BytesIO(draw_overlay(bright_corner, found)))).astype(int)
    assert picture.shape == (48 * 4, 60 * 4, 3)
    assert picture[0, 0, 0] > picture[0, 0, 2] + 100
    assert (picture[-1, -1] == 0).all()


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 20, 3), (20, 1, 3), (7, 5, 3), (13, 512, 3)])
def test_windows_cover_every_pixel_whatever_the_shape(looks_at_a_corner, shape):
    found = measure_occlusion(looks_at_a_corner, np.full(shape, 90, np.uint8), 1)
    covered = np.zeros(shape[:2], bool)
    for top in found.rows:
        for left in found.columns:
            assert (top + found.window[0] <= shape[0], left + found.window[1] <= shape[1]) == (True, True)
            covered[top : top + found.window[0], left : left + found.window[1]] = True
    assert covered.all()
    assert found.drops.shape == (len(found.rows), len(found.columns))
    Image.open(io.BytesIO(draw_overlay(np.full(shape, 90, np.uint8), found))).load()


def test_an_answer_that_nothing_changes_is_drawn_without_colour():
    found = Occlusion(0.5, (1, 1), [0, 1], [0, 1], np.zeros((2, 2), np.float32))
    picture = np.asarray(Image.open(io.BytesIO(draw_overlay(np.full((2, 2, 3), 70, np.uint8), found))))
    assert (picture == 70).all()


def test_large_images_are_shrunk_and_small_ones_left_alone():
    assert shrink(np.zeros((3000, 1500, 3), np.uint8)).shape == (512, 256, 3)
    small = np.zeros((512, 20, 3), np.uint8)
    assert shrink(small) is small
