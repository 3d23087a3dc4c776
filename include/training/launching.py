"""Train in several processes: start torchrun, pass on what they report, and leave none behind."""

import json
import logging
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import safetensors.torch
import torch

from include import errors
from include.project import TrainingConfig
from include.settings import REPOSITORY
from include.training.checkpoints import Checkpoints
from include.training.epochs import Epoch
from include.training.handover import write_job
from include.training.samples import Samples
from include.vision.networks import Classifier, build_classifier

logger = logging.getLogger(__name__)

BEST = "best.safetensors"
EPOCH, ERROR = "epoch", "error"
# What a process reports stands in its output after this character, as in RFC 7464.
RECORD = "\x1e"
# torchrun kills what does not end by itself after half of that.
END_SECONDS = 60
# Between processes of one machine only, and without a port for torchrun's own store.
ENVIRONMENT = {"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
ENVIRONMENT |= {"OMP_NUM_THREADS": "1"}
EXIT = re.compile(r"exitcode\s*:\s*(-?\d+)")


def fit_in_processes(
    training: TrainingConfig,
    classes: int,
    splits: tuple[Samples, Samples],
    report: Callable[[Epoch], None],
    checkpoints: Checkpoints | None,
) -> tuple[Classifier, Epoch]:
    """Train as `fit_classifier`, in `training.processes` processes of their own.

    What they report comes while they train on; what `report` raises ends them.

    :raises TransientError: a process died; what the others knew is in the checkpoint.
    """
    epochs: list[Epoch] = []
    with tempfile.TemporaryDirectory(prefix="windhover-") as scratch:
        folder = Path(scratch)
        write_job(folder, training, classes, splits, checkpoints)
        with _running(training.processes, folder) as process:
            for epoch in _listen(process):
                epochs.append(epoch)
                report(epoch)
        with torch.random.fork_rng(devices=[]):
            classifier = build_classifier(training, classes)
        classifier.load_state_dict(safetensors.torch.load_file(folder / BEST))
    return classifier.eval(), max(epochs, key=lambda epoch: epoch.rank)


def send(kind: str, value: object) -> None:
    """Report something to the process that listens, in one write, so that no other one's output comes between."""
    os.write(sys.stdout.fileno(), f"{RECORD}{json.dumps([kind, value])}\n".encode())


@contextmanager
def _running(processes: int, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run torchrun for as long as the block; its processes end with it, or when this one is killed."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nnodes=1", f"--nproc-per-node={processes}"]
    command += ["--rdzv-backend=c10d", "--rdzv-conf=store_type=file", f"--rdzv-endpoint={folder / 'torchrun'}"]
    command += ["--local-addr=127.0.0.1", "-m", "include.training.worker", str(folder)]
    with subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env=os.environ | ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        try:
            yield process
        finally:
            _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    try:
        # Closes their standard input, which the workers end with, and torchrun with them.
        process.communicate(timeout=END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


def _listen(process: subprocess.Popen[str]) -> Iterator[Epoch]:
    """Give each epoch that is reported; raise what ended a process."""
    code = ""
    for line in process.stdout or ():
        text, _, record = line.partition(RECORD)
        if record:
            yield _read_record(record)
        elif text.strip():
            logger.info("%s", text.rstrip())
            found = EXIT.search(text)
            code = found[1] if found else code
    if process.wait():
        raise errors.TransientError(
            f"a training process ended with exit code {code or process.returncode}, and the others with it; the log "
            "above says more. A retry goes on after the last whole epoch"
        )


def _read_record(record: str) -> Epoch:
    kind, value = json.loads(record)
    if kind == ERROR:
        name, message = value
        raise getattr(errors, name)(message)
    return Epoch(**value)
