import io

import numpy as np
import pyarrow.parquet as pq

from include.contracts import DatasetRef, ModelRef
from include.evaluation.answers import answers_address, arrange, publish_answers
from include.storage import digest_bytes
from include.vision.images import ImageSet, split_digest

KEY = digest_bytes(b"key")
DATASET = DatasetRef(project="letters", address="a", version=1, digest=KEY, images=6, labelled=6)
MODEL = ModelRef(project="letters", key=KEY, run_id="run", weights=KEY, dataset=DATASET)
TEST = ImageSet([], list("aabbcc"), list("123456"), ["2026-03-01"] * 6, list("ppqqrs"))


def test_probabilities_come_into_the_projects_order():
    arranged = arrange(np.array([[0.5, 0.3, 0.2]], dtype=np.float32), ["z", "b", "a"], ["a", "b", "c"])
    np.testing.assert_allclose(arranged, [[0.2, 0.3, 0.0]], rtol=1e-6)


def test_answers_are_kept_by_model_and_test_images(answers, store):
    address = publish_answers(MODEL, TEST, answers, store)
    test = split_digest(TEST)
    assert address == answers_address(MODEL, test) == f"letters/evaluations/{test[7:19]}/{KEY[7:19]}.parquet"
    table = pq.read_table(io.BytesIO(store.read(address)))
    assert table.column_names == ["digest", "group", "label", "predicted", "probabilities"]
    assert table["digest"].to_pylist() == list("123456")
    assert table["group"].to_pylist() == list("ppqqrs")
    assert table["predicted"].to_pylist() == list(answers.predicted)
    np.testing.assert_allclose(table["probabilities"].to_pylist(), answers.probabilities, rtol=1e-6)


def test_the_same_answers_give_the_same_bytes(answers, store):
    address = publish_answers(MODEL, TEST, answers, store)
    first = store.read(address)
    assert publish_answers(MODEL, TEST, answers, store) == address
    assert store.read(address) == first
