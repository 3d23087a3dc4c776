import numpy as np
import pytest

from benchmarks import ood_scores
from benchmarks.digit_network import Answers, Split, photograph_digits
from benchmarks.shifted_digits import HEALTHY, NOISE, PRIORS, SHAPES, WORN, shift

FEW = np.arange(20)


@pytest.fixture(scope="module")
def healthy() -> Split:
    return photograph_digits(1)[1].take(FEW)


def look(_, images) -> Answers:
    """Answer as a linear network of 64 grey pixels does, without a training."""
    seen = np.stack([image.mean(axis=2).reshape(8, 4, 8, 4).mean(axis=(1, 3)).ravel() / 255 for image in images])
    logits = 20 * seen @ np.random.default_rng(0).normal(size=(64, 10))
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return Answers((shares / shares.sum(axis=1, keepdims=True)).astype(np.float32), seen.astype(np.float32))


@pytest.mark.parametrize("kind", [PRIORS, SHAPES, NOISE, WORN[0], "noise 3"])
def test_traffic_is_shifted_and_the_same_seed_shifts_alike(healthy, kind):
    first, again = (shift(kind, healthy, 5) for _ in range(2))
    assert np.array_equal(first.images, again.images)
    assert not np.array_equal(first.images, shift(HEALTHY, healthy, 5).images)
    assert len(first.labels) == len(healthy.labels)


def test_the_table_tells_of_harmful_traffic(capsys, monkeypatch):
    for name, value in {"KINDS": (SHAPES, NOISE), "TIMED": 10, "teach": lambda *_: None, "ask": look}.items():
        monkeypatch.setattr(ood_scores, name, value)
    monkeypatch.setenv("COLUMNS", "200")
    assert ood_scores.main(seeds=1) in {True, False}
    printed = capsys.readouterr().out
    assert all(name in printed for name in (SHAPES, NOISE, "a new class", "mean of the harmful", "32 at once"))
