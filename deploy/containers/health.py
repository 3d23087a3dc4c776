"""Answer a container's health check: exit 0 when the part is at work, 1 with the reason when not.

Runs every few seconds in every container, so it imports no Airflow.
"""

import json
import socket
import sys
import time
import urllib.request
from pathlib import Path

URLS = {
    "api-server": "http://127.0.0.1:8080/api/v2/version",
    "scheduler": "http://127.0.0.1:8974/health",
    "mlflow": "http://127.0.0.1:5500/health",
    "serving": "http://127.0.0.1:8090/healthz",
}
# These serve no address of their own; the API server reports their heartbeats.
HEARTBEATS = {"dag-processor": "dag_processor", "triggerer": "triggerer"}
HEARTBEATS_URL = "http://api-server:8080/api/v2/monitor/health"
SECONDS = 10
# What the watcher writes after every look.
BEAT = Path("/run/windhover/watcher.beat")
LOOKS_SECONDS = 120


def check_health(part: str) -> str:
    """Return why a part is not healthy, or nothing when it is."""
    if part == "worker":
        return _check_worker()
    if part == "watcher":
        return _check_beat()
    try:
        with urllib.request.urlopen(URLS.get(part, HEARTBEATS_URL), timeout=SECONDS) as answer:  # noqa: S310
            report = answer.read()
    except OSError as error:
        return f"{part} does not answer: {error}"
    return _check_heartbeat(part, report) if part in HEARTBEATS else ""


def _check_heartbeat(part: str, report: bytes) -> str:
    status = json.loads(report)[HEARTBEATS[part]]["status"]
    return "" if status == "healthy" else f"{part} is {status}"


def _check_beat() -> str:
    try:
        silent = time.time() - BEAT.stat().st_mtime
    except FileNotFoundError:
        return "watcher has not looked yet"
    return "" if silent < LOOKS_SECONDS else f"watcher has not looked for {silent:.0f} s"


def _check_worker() -> str:
    from celery import Celery

    from deploy.containers.home import open_container_home

    name = f"celery@{socket.gethostname()}"
    broker = f"redis://:{open_container_home().read_secret('redis_password')}@redis:6379/0"
    answers = Celery(broker=broker).control.inspect(destination=[name], timeout=SECONDS).ping() or {}
    return "" if name in answers else f"worker {name} does not answer a ping"


if __name__ == "__main__":
    # `sys.exit("")` would count as a failure.
    sys.exit(check_health(sys.argv[1]) or 0)
