"""What answering costs: size, latency, throughput and memory of the exported graph, held against the budgets."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from include.contracts import BudgetReport
from include.errors import ContractViolationError
from include.project import EvaluationConfig
from include.settings import REPOSITORY

WARM_UP = 10
REPEATS = 200
BATCH = 32
# One image after the other, for as long as the patience of a task and the budget of a demo allow.
MAX_SECONDS = 5.0
MEGA = 1e6
GRAPH, IMAGE = "model.onnx", "image.npy"


def measure_budget(graph: bytes, image: NDArray[np.uint8], config: EvaluationConfig) -> BudgetReport:
    """Measure an exported graph in a process of its own, on one thread, as a replica would run it.

    :param image: One image as it is delivered, uint8 RGB [H, W, 3].
    :raises ContractViolationError: the graph cannot be run.
    """
    with tempfile.TemporaryDirectory(prefix="windhover-budget-") as scratch:
        Path(scratch, GRAPH).write_bytes(graph)
        np.save(Path(scratch, IMAGE), image)
        command = [sys.executable, "-m", "include.evaluation.budgets", scratch]
        ran = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=False)
    if ran.returncode:
        raise ContractViolationError(f"the exported graph cannot be measured: {ran.stderr.decode()[-400:]}")
    measured = {"model_mb": len(graph) / MEGA, **json.loads(ran.stdout)}
    return BudgetReport(**measured, exceeded=_compare(measured, config))


def _compare(measured: dict[str, float], config: EvaluationConfig) -> tuple[str, ...]:
    limits = {"latency_ms": config.max_latency_ms, "model_mb": config.max_model_mb, "memory_mb": config.max_memory_mb}
    over = [
        f"{name} {measured[name]:.4g} is above the budget of {limit:.4g}"
        for name, limit in limits.items()
        if limit is not None and measured[name] > limit
    ]
    least, rate = config.min_images_per_second, measured["images_per_second"]
    if least is not None and rate < least:
        over.append(f"images_per_second {rate:.4g} is below the budget of {least:.4g}")
    return tuple(over)


def _measure_here(folder: Path) -> dict[str, float]:
    from include.vision.releases import open_graph, run_graph

    image = np.load(folder / IMAGE)
    before = _peak_memory()
    session = open_graph(folder / GRAPH)
    one, batch = image[None], np.repeat(image[None], BATCH, axis=0)
    seconds: list[float] = []
    run_graph(session, batch)
    while len(seconds) < WARM_UP + REPEATS and sum(seconds) < MAX_SECONDS:
        start = time.perf_counter()
        run_graph(session, one)
        seconds.append(time.perf_counter() - start)
    start = time.perf_counter()
    run_graph(session, batch)
    rate = BATCH / (time.perf_counter() - start)
    steady = seconds[WARM_UP:] or seconds
    return {
        "latency_ms": 1e3 * float(np.quantile(steady, 0.95)),
        "images_per_second": rate,
        "memory_mb": (_peak_memory() - before) / MEGA,
    }


def _peak_memory() -> float:
    """Return this process's peak of resident memory, in bytes; `getrusage` would count the parent's before `exec`."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return 1024 * float(status["VmHWM"].split()[0])


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_measure_here(Path(sys.argv[1]))))
