import os

import pytest
import torch

from include.errors import ContractViolationError
from include.project import TrainingConfig
from include.training.devices import MAX_THREADS, choose_device, mixed_precision, reproducible

CPU = torch.device("cpu")


def test_takes_the_gpu_only_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device(TrainingConfig()).type == "cuda"
    assert choose_device(TrainingConfig(device="cpu")).type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device(TrainingConfig()).type == "cpu"


def test_every_process_has_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device(TrainingConfig(processes=2)).type == "cuda"
    assert choose_device(TrainingConfig(processes=3, device="cpu")).type == "cpu"
    with pytest.raises(ContractViolationError, match=r"training\.processes is 3, but this machine has 2 GPUs"):
        choose_device(TrainingConfig(processes=3))


def test_processes_divide_the_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)))
    for processes, threads in ((1, MAX_THREADS), (2, 3), (16, 1)):
        with reproducible(TrainingConfig(image_size=224, processes=processes), CPU):
            assert torch.get_num_threads() == threads


@pytest.mark.parametrize(("size", "most"), [(32, 1), (224, MAX_THREADS)])
def test_threads_are_bounded(size, most):
    with reproducible(TrainingConfig(image_size=size), CPU):
        assert 1 <= torch.get_num_threads() <= most


@pytest.mark.parametrize(("precision", "expected"), [("auto", torch.float32), ("mixed", torch.bfloat16)])
def test_a_cpu_computes_in_full_precision_unless_told(precision, expected):
    one = torch.ones(2, 2)
    with mixed_precision(TrainingConfig(precision=precision), CPU):
        assert (one @ one).dtype == expected


def test_settings_come_back_even_when_the_training_fails():
    before = torch.get_num_threads(), torch.get_rng_state()

    def fail():
        with reproducible(TrainingConfig(), CPU):
            torch.rand(3)
            raise RuntimeError("broke")

    with pytest.raises(RuntimeError, match="broke"):
        fail()
    assert torch.get_num_threads() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])
    assert not torch.are_deterministic_algorithms_enabled()
