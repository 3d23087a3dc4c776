"""One of the processes that train a model together; torchrun starts it, for `include.training.launching`."""

import os
import select
import sys
import threading
from dataclasses import asdict
from pathlib import Path

import safetensors.torch

from include.errors import WindhoverError
from include.training.epochs import Epoch
from include.training.handover import open_checkpoints, open_start, read_job, read_splits
from include.training.launching import BEST, EPOCH, ERROR, send
from include.training.optimise import fit_in_team
from include.training.team import Team, join_team

FAILED = 1
WATCH_SECONDS = 1.0


def main(folder: Path) -> None:
    """Train this process's part of what a folder describes."""
    threading.Thread(target=_end_with_parents, args=(os.getppid(),), daemon=True).start()
    try:
        with join_team(folder) as team:
            _train(folder, team)
    except WindhoverError as error:
        send(ERROR, [type(error).__name__, str(error)])
        sys.exit(FAILED)


def _train(folder: Path, team: Team) -> None:
    job = read_job(folder)
    splits = read_splits(folder, job, team.share)
    checkpoints = open_checkpoints(job) if team.leads else None
    report = _report if team.leads else lambda _: None
    classifier, _ = fit_in_team(job.training, job.classes, splits, report, team, open_start(folder, job), checkpoints)
    if team.leads:
        tensors = {name: tensor.contiguous() for name, tensor in classifier.state_dict().items()}
        safetensors.torch.save_file(tensors, folder / BEST)


def _report(epoch: Epoch) -> None:
    send(EPOCH, asdict(epoch))


def _end_with_parents(torchrun: int) -> None:
    """End this process when the one that started torchrun, or torchrun, ended, however they did."""
    # Nothing is ever written to the standard input; it ends with the process that holds its other side.
    while not select.select([sys.stdin], [], [], WATCH_SECONDS)[0] and os.getppid() == torchrun:
        pass
    os._exit(FAILED)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
