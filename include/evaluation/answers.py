"""What a model answers to the test images, and where that is kept."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from include.contracts import Digest, ModelRef
from include.storage import Store
from include.vision.images import ImageSet, split_digest


@dataclass(frozen=True)
class Answers:
    """Answers to N images of K classes; the classes are the project's, which the model need not know all of.

    :ivar labels: True class of each image [N].
    :ivar predicted: Class the model calls it [N]; where the model is older, perhaps none of the project's.
    :ivar probabilities: float64 [N, K]. A row sums to 1, or to less by what the model gives to classes that are gone.
    :ivar classes: Names of the classes [K].
    :ivar costs: Of each answer to each true class [K, K + 1]; the last column is for answers that are none of these.
    """

    labels: Sequence[str]
    predicted: Sequence[str]
    probabilities: NDArray[np.float64]
    classes: tuple[str, ...]
    costs: NDArray[np.float64]

    @property
    def right(self) -> NDArray[np.bool_]:
        """Tell which answers are right [N]."""
        return np.array([label == said for label, said in zip(self.labels, self.predicted, strict=True)])


def arrange(probabilities: NDArray[np.float32], known: Sequence[str], classes: Sequence[str]) -> NDArray[np.float64]:
    """Bring a model's probabilities [N, its classes] into the order of the project's classes [N, K].

    A class that the model does not know has probability 0.
    """
    arranged = np.zeros((len(probabilities), len(classes)))
    for column, name in enumerate(classes):
        if name in known:
            arranged[:, column] = probabilities[:, known.index(name)]
    return arranged


def answers_address(model: ModelRef, test_digest: Digest) -> str:
    """Address of a model's answers to one test split."""
    key, test = (digest.removeprefix("sha256:")[:12] for digest in (model.key, test_digest))
    return f"{model.project}/evaluations/{test}/{key}.parquet"


def publish_answers(model: ModelRef, test: ImageSet, answers: Answers, store: Store) -> str:
    """Write answers to test images as Parquet: digest, group, label, predicted, probabilities; return the address."""
    table = pa.table(
        {
            "digest": pa.array(test.digests, pa.string()),
            "group": pa.array(test.groups, pa.string()),
            "label": pa.array(answers.labels, pa.string()),
            "predicted": pa.array(answers.predicted, pa.string()),
            "probabilities": pa.array(list(answers.probabilities.astype(np.float32)), pa.list_(pa.float32())),
        }
    )
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    address = answers_address(model, split_digest(test))
    store.write(address, buffer.getvalue())
    return address
