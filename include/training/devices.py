"""Where a network is trained, and how torch is set while it is."""

import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch

from include.errors import ContractViolationError
from include.project import TrainingConfig

MAX_THREADS = 4
# Below this side, in pixels, threads wait for each other longer than they work: on a busy machine, many times over.
SINGLE_THREAD_SIZE = 64
# torch's random state and settings belong to the process, not to a thread.
ONE_TRAINING = threading.Lock()
# cuBLAS gives the same numbers again only with a workspace of fixed size, which it reads once from here.
CUBLAS = ("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def choose_device(training: TrainingConfig) -> torch.device:
    """Return the device to train on: a GPU where there is one, unless the project names another.

    :raises ContractViolationError: the project asks for a GPU, and there is none, or for more processes than GPUs.
    """
    found = torch.cuda.is_available()
    if training.device == "cuda" and not found:
        raise ContractViolationError(
            "training.device is cuda, but torch finds no GPU on this machine; write auto, or train where there is one"
        )
    device = torch.device("cuda" if found and training.device != "cpu" else "cpu")
    if device.type == "cuda" and 1 < training.processes > torch.cuda.device_count():
        raise ContractViolationError(
            f"training.processes is {training.processes}, but this machine has {torch.cuda.device_count()} GPUs, one "
            "for each process; lower it, or write training.device cpu"
        )
    return device


@contextmanager
def reproducible(training: TrainingConfig, device: torch.device) -> Iterator[None]:
    """Make torch give the same numbers for the same seed on this machine; leave its settings as they were."""
    gpu = device.type == "cuda"
    if gpu:
        os.environ.setdefault(*CUBLAS)
    with ONE_TRAINING, torch.random.fork_rng(devices=[torch.cuda.current_device()] if gpu else []):
        threads = torch.get_num_threads()
        deterministic = torch.are_deterministic_algorithms_enabled()
        warning = torch.is_deterministic_algorithms_warn_only_enabled()
        torch.manual_seed(training.seed)
        torch.set_num_threads(_count_threads(training))
        # Some layers have no deterministic gradient on a GPU; their architectures are trained all the same.
        torch.use_deterministic_algorithms(True, warn_only=gpu)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(deterministic, warn_only=warning)


def mixed_precision(training: TrainingConfig, device: torch.device) -> AbstractContextManager[object]:
    """Compute in bfloat16 where that is safe, which needs no scaling of the loss; `auto` does so on a GPU."""
    mixed = training.precision == "mixed" or (training.precision == "auto" and device.type == "cuda")
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=mixed)


def _count_threads(training: TrainingConfig) -> int:
    if training.image_size <= SINGLE_THREAD_SIZE:
        return 1
    return min(max(len(os.sched_getaffinity(0)) // training.processes, 1), MAX_THREADS)
