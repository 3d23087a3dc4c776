"""How long Airflow's dag processor parses every DAG file, for 1 and for 50 projects, and what that loads.

    .venv/bin/python -m benchmarks.parse_cost

The peer beside each figure is the same number of DAGs with the same tasks as bare EmptyOperators, parsed in a process
of its own right after.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
HEAVY = "torch torchvision mlflow evidently great_expectations docker pandas numpy lance pyarrow sklearn onnxruntime"
ROUNDS = 5
PARSE = """
import json, sys, time
import airflow.sdk, airflow.providers.standard.operators.empty
from airflow.sdk.definitions._internal.contextmanager import DagContext
DagContext.current_autoregister_module_name = "__main__"
started = time.perf_counter()
for path in sys.argv[1:]:
    space = {"__name__": "parsed", "__file__": path, "__doc__": None}
    exec(compile(open(path).read(), path, "exec"), space)
seconds = time.perf_counter() - started
tasks = [len(dag.task_dict) for dag, _ in DagContext.autoregistered_dags]
print(json.dumps({"seconds": seconds, "tasks": tasks, "modules": sorted(sys.modules)}))
"""
PEER = """
from airflow.sdk import DAG
from airflow.providers.standard.operators.empty import EmptyOperator
for number, tasks in enumerate({tasks}):
    with DAG(f"peer_{{number}}", schedule=None):
        for task in range(tasks):
            EmptyOperator(task_id=f"task_{{task}}")
"""


def main() -> None:
    """Print one row for each number of projects."""
    table = Table(title=f"Parsing all DAG files, median of {ROUNDS} fresh processes", title_justify="left")
    for heading in ("projects", "DAGs", "seconds", "bare DAGs, seconds", "ratio", "heavy modules loaded"):
        table.add_column(heading, justify="right")
    for projects in (1, 50):
        with tempfile.TemporaryDirectory() as folder:
            table.add_row(*measure(Path(folder), projects))
    Console().print(table)


def measure(folder: Path, projects: int) -> list[str]:
    """Parse ours and the peer's in turn and return the row."""
    files = sorted(str(path) for path in (ROOT / "dags").glob("[!_]*.py"))
    template = (ROOT / "include/projects/digits.yaml").read_text()
    for number in range(projects):
        (folder / f"p{number}.yaml").write_text(template.replace("name: digits", f"name: p{number}"))
    peer = folder / "peer.py"
    ours, bare, heavy = [], [], set()
    for _ in range(ROUNDS):
        parsed = parse(folder, files)
        peer.write_text(PEER.format(tasks=parsed["tasks"]))
        ours.append(parsed["seconds"])
        heavy |= set(HEAVY.split()) & set(parsed["modules"])
        bare.append(parse(folder, [str(peer)])["seconds"])
    seconds, peer_seconds = sorted(ours)[ROUNDS // 2], sorted(bare)[ROUNDS // 2]
    cells = [projects, len(parsed["tasks"]), f"{seconds:.2f}", f"{peer_seconds:.2f}", f"{seconds / peer_seconds:.1f}"]
    return [*map(str, cells), ", ".join(sorted(heavy)) or "none"]


def parse(projects: Path, files: list[str]) -> dict[str, object]:
    """Execute DAG files in a fresh process."""
    environment = os.environ | {"WINDHOVER_PROJECTS": str(projects), "PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}"}
    command = [sys.executable, "-c", PARSE, *files]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


if __name__ == "__main__":
    main()
