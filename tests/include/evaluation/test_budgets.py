import numpy as np
import pytest
import torch

from include.errors import ContractViolationError
from include.evaluation.budgets import measure_budget
from include.project import EvaluationConfig, TrainingConfig
from include.vision.export import export_graph
from include.vision.networks import build_classifier

IMAGE = np.zeros((32, 32, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def graph():
    torch.manual_seed(3)
    return export_graph(build_classifier(TrainingConfig(image_size=32), 10).eval())


def test_a_small_model_costs_what_a_small_model_costs(graph):
    budget = measure_budget(graph, IMAGE, EvaluationConfig(max_model_mb=10))
    assert budget.model_mb == pytest.approx(len(graph) / 1e6)
    assert 0 < budget.latency_ms < 1000
    assert budget.images_per_second > 1
    assert 0 < budget.memory_mb < 500
    assert budget.exceeded == ()


def test_every_budget_that_is_broken_is_named(graph):
    tight = EvaluationConfig(max_latency_ms=1e-6, max_model_mb=1e-6, max_memory_mb=1e-6, min_images_per_second=1e12)
    exceeded = measure_budget(graph, IMAGE, tight).exceeded
    assert [reason.split()[0] for reason in exceeded] == ["latency_ms", "model_mb", "memory_mb", "images_per_second"]
    assert "below the budget of 1e+12" in exceeded[-1]


def test_a_larger_model_needs_more_memory(graph):
    large = export_graph(build_classifier(TrainingConfig(architecture="resnet18", image_size=32), 10).eval())
    small, big = (measure_budget(one, IMAGE, EvaluationConfig()) for one in (graph, large))
    assert big.memory_mb > small.memory_mb + 40
    assert big.model_mb > 40


def test_what_is_no_graph_is_refused():
    with pytest.raises(ContractViolationError, match="cannot be measured"):
        measure_budget(b"no graph", IMAGE, EvaluationConfig())
