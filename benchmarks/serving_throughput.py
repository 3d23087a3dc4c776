"""How many JPEG files a second a serving process answers, beside MLflow's server and the bare work.

    .venv/bin/python -m benchmarks.serving_throughput [--seconds 5] [--rounds 3]

One release is asked in five ways, one after the other in every round: by a loop in one process that decodes and runs
the graph and does nothing else (of batches of 1 and of 32, the faster), by `python -m include.serving` with one image
in a request, by the same with 16 in a form, and by `mlflow models serve` of the same graph and of its network in torch,
both behind the same decoder. Servers and loop have one core, the clients the others; there are 32 connections, of forms
4, that ask again as soon as they are answered. Ratios are medians over rounds: what disturbs one disturbs all of it.
"""

import argparse
import asyncio
import base64
import itertools
import json
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import mlflow
import numpy as np

from benchmarks.photographs import write_photographs
from benchmarks.serving_process import (
    Server,
    find_free_port,
    make_project,
    open_service,
    start_server,
    start_serving,
    stay_on,
)
from include.project import TrainingConfig
from include.settings import REPOSITORY
from include.vision.decoding import decode_image
from include.vision.releases import Bundle, open_graph, run_graph

NETWORKS = {"small_cnn": (32, 64), "resnet18": (224, 256)}  # side of the input, and of the files
IMAGES = 64
FORM = 16
BATCH = 32
# As many images at once either way.
CONNECTIONS = {"single": 32, "form": 4, "mlflow": 32, "torch": 32}
BOUNDARY = "windhover-benchmark"
FORM_TYPE = f"multipart/form-data; boundary={BOUNDARY}"
LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
TIMES_MLFLOW, SHARE_OF_BARE = 2.0, 0.8


@dataclass(frozen=True)
class Throughput:
    """Images per second of one network, by round: bare, single, form, mlflow, torch."""

    network: str
    rates: dict[str, list[float]]
    failed: int

    def compare(self, one: str, other: str) -> float:
        """How many times as fast one way is as another, in a usual round."""
        return statistics.median(a / b for a, b in zip(self.rates[one], self.rates[other], strict=True))

    @property
    def share_of_bare(self) -> float:
        """What is left of the bare work's speed."""
        return max(self.compare("single", "bare"), self.compare("form", "bare"))

    def describe(self) -> str:
        """Return a line of the table."""
        speeds = " | ".join(f"{statistics.median(found):,.0f}/s" for found in self.rates.values())
        graph, torch = self.compare("single", "mlflow"), self.compare("single", "torch")
        goals = f"{graph:.2f}, {torch:.2f} (goal {TIMES_MLFLOW:g}) | {self.share_of_bare:.2f} (goal {SHARE_OF_BARE:g})"
        return f"| {self.network} | {speeds} | {goals} | {self.failed} |"


class _Client(asyncio.Protocol):
    """One connection that asks again as soon as it is answered."""

    def __init__(self, requests: Iterator[bytes]) -> None:
        self.answered = self.failed = 0
        self._requests = requests
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101
        self._transport = transport
        transport.write(next(self._requests))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, mark, body = self._buffer.partition(b"\r\n\r\n")
        length = LENGTH.search(head)
        if not mark or (length and len(body) < int(length[1])):
            return
        ok = head.startswith(b"HTTP/1.1 200") and b'"probabilities"' in body and b'"error"' not in body
        self.answered, self.failed = self.answered + ok, self.failed + (not ok)
        self._buffer = b""
        self._transport.write(next(self._requests))


async def saturate(port: int, requests: list[bytes], connections: int, seconds: float) -> tuple[float, int]:
    """Return answered requests per second, and how many failed, after half a second of warming up."""
    endless = itertools.cycle(requests)
    loop = asyncio.get_running_loop()
    pairs = [await loop.create_connection(lambda: _Client(endless), "127.0.0.1", port) for _ in range(connections)]
    clients = [client for _, client in pairs]
    await asyncio.sleep(0.5)
    before, started = sum(client.answered for client in clients), time.perf_counter()
    await asyncio.sleep(seconds)
    rate = (sum(client.answered for client in clients) - before) / (time.perf_counter() - started)
    for transport, _ in pairs:
        transport.abort()
    return rate, sum(client.failed for client in clients)


def build_requests(path: str, kind: str, bodies: list[bytes]) -> list[bytes]:
    """Write whole HTTP requests, so that the client does as little as possible while it is measured."""
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: {kind}\r\ncontent-length: "
    return [f"{head}{len(body)}\r\n\r\n".encode() + body for body in bodies]


def write_json(files: list[bytes]) -> list[bytes]:
    """Write what MLflow's server takes."""
    return [json.dumps({"inputs": [base64.b64encode(file).decode()]}).encode() for file in files]


def write_forms(files: list[bytes]) -> list[bytes]:
    """Write forms of 16 files each."""
    head = f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="images"; filename="a.jpg"\r\n\r\n'.encode()
    parts = [head + file + b"\r\n" for file in files]
    end = f"--{BOUNDARY}--\r\n".encode()
    return [b"".join(parts[at : at + FORM]) + end for at in range(0, len(parts), FORM)]


def run_bare(bundle: Bundle, files: list[bytes], seconds: float, cores: set[int]) -> float:
    """Return images per second of decoding and the graph alone, in batches of 1 or of 32, whichever is faster."""
    with stay_on(cores):
        return max(_run_loop(bundle, files, seconds / 2, batch) for batch in (1, BATCH))


def _run_loop(bundle: Bundle, files: list[bytes], seconds: float, batch: int) -> float:
    graph, limits, endless = open_graph(bundle.graph), bundle.manifest.decoding.model_dump(), itertools.cycle(files)
    done, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        run_graph(graph, np.stack([decode_image(file, **limits) for file in itertools.islice(endless, batch)]))
        done += batch
    return done / (time.perf_counter() - started)


@contextmanager
def start_mlflow(
    bundle: Bundle, folder: Path, cores: set[int], training: TrainingConfig | None = None
) -> Iterator[Server]:
    """Run `mlflow models serve` of a release, or of its network in torch, for as long as the block lives."""
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    code, model, port = Path(__file__).with_name("jpeg_model.py"), str(folder / "model"), find_free_port()
    mlflow.pyfunc.save_model(
        model,
        python_model=str(code),
        artifacts={"release": str(bundle.folder)},
        model_config={"training": training and training.model_dump(mode="json")},
        pip_requirements=[],
    )
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", model, "--env-manager", "local"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    # It starts `uvicorn` by name.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with start_server(command, {"PYTHONPATH": str(REPOSITORY), "PATH": path}, port, "/ping", cores, folder) as server:
        yield server


def measure(network: str, folder: Path, seconds: float, rounds: int) -> Throughput:
    """Ask one network in all four ways."""
    side, file_side = NETWORKS[network]
    project = make_project(network, side)
    files = [path.read_bytes() for path in write_photographs(folder / "files", IMAGES, file_side)]
    core, *rest = sorted(os.sched_getaffinity(0))
    with (
        stay_on(set(rest) or {core}),
        open_service(project, folder) as (settings, bundle),
        start_mlflow(bundle, folder / "mlflow", {core}) as rival,
        start_mlflow(bundle, folder / "torch", {core}, project.training) as other,
        start_serving(settings, {core}) as server,
    ):
        asked = {
            "single": (server.port, build_requests("/v1/predict", "image/jpeg", files)),
            "form": (server.port, build_requests("/v1/predict", FORM_TYPE, write_forms(files))),
            "mlflow": (rival.port, build_requests("/invocations", "application/json", write_json(files))),
            "torch": (other.port, build_requests("/invocations", "application/json", write_json(files))),
        }
        rates: dict[str, list[float]] = {name: [] for name in ("bare", *asked)}
        failed = 0
        for _ in range(rounds):
            rates["bare"].append(run_bare(bundle, files, seconds, {core}))
            for name, (port, requests) in asked.items():
                rate, lost = asyncio.run(saturate(port, requests, CONNECTIONS[name], seconds))
                rates[name].append(rate * (FORM if name == "form" else 1))
                failed += lost
    return Throughput(network, rates, failed)


def main(arguments: list[str] | None = None) -> list[Throughput]:
    """Measure every network and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args(arguments)
    ways = ("bare", "one image a request", "16 in a form", "MLflow, graph", "MLflow, torch")
    print(f"| network | {' | '.join(ways)} | times MLflow | share of bare | failed |")
    print(f"|---|{'--:|' * (len(ways) + 3)}")
    results = []
    for network in chosen.networks:
        with tempfile.TemporaryDirectory() as folder:
            results.append(measure(network, Path(folder), chosen.seconds, chosen.rounds))
        print(results[-1].describe(), flush=True)
    return results


if __name__ == "__main__":
    main()
