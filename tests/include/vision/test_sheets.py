import json

import pytest
import yaml

from include.errors import ContractViolationError
from include.vision.sheets import read_sheet
from tests.include.foreign_models import SHEET, make_sheet


@pytest.mark.parametrize("write", [yaml.safe_dump, json.dumps])
def test_yaml_and_json_say_the_same(write):
    assert read_sheet(write(SHEET).encode(), "m.yaml") == make_sheet()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"men": [0, 0, 0]}, "men: unknown key; did you mean 'mean'?"),
        ({"image_size": 4}, "image_size: .*greater than or equal to 16"),
        ({"std": [0.2, 0.0, 0.2]}, r"std\.1: .*greater than 0"),
        ({"mean": [0.5]}, r"mean\.1: required"),
        ({"classes": ["0", "0"]}, "name a class twice"),
        ({"output": "scores"}, "output: .*'logits' or 'probabilities'"),
        ({"trained_on": ""}, "trained_on: "),
    ],
)
def test_a_wrong_value_is_named(changes, message):
    with pytest.raises(ContractViolationError, match=message):
        read_sheet(yaml.safe_dump(SHEET | changes).encode(), "m.yaml")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(b"", "m.yaml: file: ", id="empty"),
        pytest.param(b"\xff\xfe\x00", "not readable as YAML", id="binary"),
        pytest.param(b"[" * 90_000, "at most 20 lists", id="deep"),
        pytest.param(b"a: &a [x, x]\nb: [*a, *a]\n", "no aliases", id="bomb"),
        pytest.param(b"image_size: 32\nimage_size: 64\n", "'image_size' is given twice", id="twice"),
        pytest.param(b"!!python/object/apply:os.getcwd []", "not readable as YAML", id="object"),
        pytest.param(b" " * 100_001, "100,001 bytes are no sheet", id="large"),
    ],
)
def test_what_is_no_sheet_is_refused(data, message):
    with pytest.raises(ContractViolationError, match=message):
        read_sheet(data, "m.yaml")
