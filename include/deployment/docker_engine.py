"""The container engine of this machine, what it means when it refuses, and what no container of ours is without."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import docker
import requests
from docker.errors import APIError, DockerException

from include.errors import RolloutFailedError, ServiceUnavailableError

# An engine that is busy with a build answers late.
SECONDS = 120
SCRATCH = "/tmp"  # noqa: S108 - within the container, in memory
# Memory is said per container: a serving process needs more than a proxy.
HARDENED: dict[str, Any] = {
    "read_only": True,
    "tmpfs": {SCRATCH: "rw,nosuid,noexec,size=256m,mode=1777"},
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges:true"],
    "nano_cpus": 1_000_000_000,
    "pids_limit": 256,
    "init": True,
    "restart_policy": {"Name": "unless-stopped"},
    "log_config": {"type": "json-file", "config": {"max-size": "10m", "max-file": "3"}},
}


@contextmanager
def open_engine() -> Iterator[docker.DockerClient]:
    """Connect to the engine that DOCKER_HOST names, or this machine's own.

    :raises ServiceUnavailableError: it does not answer, at first or any more.
    :raises RolloutFailedError: it refuses what is asked in the block.
    """
    try:
        engine = docker.from_env(timeout=SECONDS)
        try:
            engine.ping()
            yield engine
        finally:
            engine.close()
    except APIError as error:
        raise RolloutFailedError(f"the container engine refuses: {error.explanation or error}") from error
    except (DockerException, requests.RequestException) as error:
        where = os.environ.get("DOCKER_HOST", "its usual socket")
        raise ServiceUnavailableError(
            f"no container engine answers at {where}: {error}; start it, name its address in DOCKER_HOST, "
            "or set WINDHOVER_TARGET=process to serve without containers"
        ) from error
