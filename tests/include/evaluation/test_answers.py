import io

import numpy as np
import pyarrow.parquet as pq

from include.contracts import DatasetRef, ModelRef
from include.evaluation.answers import answers_address, arrange, publish_answers
from include.storage import digest_bytes

KEY, TEST = digest_bytes(b"key"), digest_bytes(b"test")
DATASET = DatasetRef(project="letters", address="a", version=1, digest=KEY, images=6, labelled=6)
MODEL = ModelRef(project="letters", key=KEY, run_id="run", weights=KEY, dataset=DATASET)


def test_probabilities_come_into_the_projects_order():
    arranged = arrange(np.array([[0.5, 0.3, 0.2]], dtype=np.float32), ["z", "b", "a"], ["a", "b", "c"])
    np.testing.assert_allclose(arranged, [[0.2, 0.3, 0.0]], rtol=1e-6)


def test_answers_are_kept_by_model_and_test_images(answers, store):
    address = publish_answers(MODEL, TEST, list("123456"), answers, store)
    assert address == answers_address(MODEL, TEST) == f"letters/evaluations/{TEST[7:19]}/{KEY[7:19]}.parquet"
    table = pq.read_table(io.BytesIO(store.read(address)))
    assert table.column_names == ["digest", "label", "predicted", "probabilities"]
    assert table["digest"].to_pylist() == list("123456")
    assert table["predicted"].to_pylist() == list(answers.predicted)
    np.testing.assert_allclose(table["probabilities"].to_pylist(), answers.probabilities, rtol=1e-6)


def test_the_same_answers_give_the_same_bytes(answers, store):
    address = publish_answers(MODEL, TEST, list("123456"), answers, store)
    first = store.read(address)
    assert publish_answers(MODEL, TEST, list("123456"), answers, store) == address
    assert store.read(address) == first
