"""Is every part really at work? Asked of the parts themselves, not of the supervisor."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psutil

from deploy.databases import is_answering
from deploy.home import Home
from deploy.launch import count_starts
from deploy.parts import FRONT, WATCHER, find_beat, name_parts, name_replicas
from deploy.supervision import Supervisor

MEBIBYTE = 1024 * 1024
# The watcher looks every 15 s; where nothing answers, a look takes a while.
LOOKS_SECONDS = 120
# Airflow's parts that serve no address; the API server reports their heartbeats.
HEARTBEATS = {"scheduler": "scheduler", "dag-processor": "dag_processor", "triggerer": "triggerer"}


@dataclass(frozen=True)
class PartStatus:
    """One part as seen now. `rss_mib` adds up the part's processes; memory they share counts once for each."""

    name: str
    state: str
    pid: int | None = None
    uptime_seconds: float = 0
    restarts: int = 0
    rss_mib: float = 0
    detail: str = ""

    @property
    def healthy(self) -> bool:
        """Whether it answers."""
        return self.state == "healthy"


def read_status(home: Home) -> list[PartStatus]:
    """Look at every part of a running stack."""
    described = Supervisor(home).describe()
    return [_inspect(home, described[name]) for name in name_parts(home.replicas)]


def is_healthy(home: Home, info: dict[str, Any]) -> bool:
    """Ask a part itself whether it is at work.

    :param info: The supervisor's description of the part.
    """
    # What answers while the part is still on its way is a leftover of the one before.
    if info["statename"] not in {"RUNNING", "STARTING"} or _is_launching(info["pid"]):
        return False
    if info["name"] == "postgres":
        return is_answering(home)
    if info["name"] in HEARTBEATS:
        return _beats(home, info["name"], datetime.fromtimestamp(info["start"], UTC))
    if info["name"] == WATCHER:
        return _has_looked(home, info["start"])
    if info["name"] in name_replicas(home.replicas):
        return _read_json("http://replica/healthz", home.find_socket(info["name"])) is not None
    return _read_json(_health_url(home, info["name"])) is not None


def _inspect(home: Home, info: dict[str, Any]) -> PartStatus:
    name = info["name"]
    if info["statename"] != "RUNNING":
        return PartStatus(name, info["statename"].lower(), detail=info["spawnerr"] or info["description"])
    return PartStatus(
        name=name,
        state="healthy" if is_healthy(home, info) else "unhealthy",
        pid=info["pid"],
        uptime_seconds=info["now"] - info["start"],
        restarts=max(count_starts(home, name) - 1, 0),
        rss_mib=_sum_rss(info["pid"]) / MEBIBYTE,
    )


def _is_launching(pid: int) -> bool:
    try:
        return "deploy.launch" in psutil.Process(pid).cmdline()
    except psutil.Error:
        return True


def _health_url(home: Home, name: str) -> str:
    return {
        "mlflow": f"{home.mlflow_url}/health",
        "api-server": f"{home.airflow_url}/api/v2/version",
        FRONT: f"{home.serving_url}/healthz",
    }[name]


def _beats(home: Home, name: str, started: datetime) -> bool:
    answer = _read_json(f"{home.airflow_url}/api/v2/monitor/health")
    if answer is None:
        return False
    part = HEARTBEATS[name]
    health = answer.json()[part]
    latest = health[f"latest_{part}_heartbeat"]
    # The heartbeat of a process that has died since looks healthy for another half a minute.
    return health["status"] == "healthy" and datetime.fromisoformat(latest) >= started


def _has_looked(home: Home, started: float) -> bool:
    try:
        looked = find_beat(home).stat().st_mtime
    except FileNotFoundError:
        return False
    return looked >= started and time.time() - looked < LOOKS_SECONDS


def _read_json(url: str, socket: Path | None = None) -> httpx.Response | None:
    transport = httpx.HTTPTransport(uds=str(socket)) if socket else None
    try:
        with httpx.Client(transport=transport, timeout=5, trust_env=False) as client:
            answer = client.get(url)
    except httpx.HTTPError:
        return None
    return answer if answer.is_success else None


def _sum_rss(pid: int) -> int:
    try:
        parent = psutil.Process(pid)
        processes = [parent, *parent.children(recursive=True)]
    except psutil.Error:
        return 0
    return sum(_rss(process) for process in processes)


def _rss(process: psutil.Process) -> int:
    try:
        rss: int = process.memory_info().rss
    except psutil.Error:
        return 0
    return rss
