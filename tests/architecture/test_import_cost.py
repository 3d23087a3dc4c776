"""Parsing a DAG must never load a heavy library, and the serving process must never load a training one."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
HEAVY = {
    "torch", "torchvision", "mlflow", "evidently", "great_expectations", "docker", "pandas", "numpy", "lance",
    "pyarrow", "sklearn", "scipy", "onnx", "onnxruntime", "fastapi", "matplotlib",
}  # fmt: skip
STAGES = {"data", "training", "evaluation", "registry", "deployment", "serving", "monitoring"}
PROBE = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)\nprint(*sys.modules)"


def load_modules(*names: str) -> set[str]:
    command = [sys.executable, "-c", PROBE, *names]
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}", "PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, env=environment)
    return set(done.stdout.splitlines()[-1].split())


def test_parsing_every_dag_loads_nothing_heavy_and_no_stage():
    loaded = load_modules(*(f"dags.{path.stem}" for path in (ROOT / "dags").glob("[!_]*.py")))
    assert "windhover.operators.training" in loaded
    assert loaded & HEAVY == set()
    assert loaded & {f"include.{stage}" for stage in STAGES} == set()


def test_starting_a_task_loads_no_web_server():
    # Every task process executes the plugin file.
    loaded = load_modules("windhover_plugin")
    assert "windhover.links" in loaded
    assert loaded & {"fastapi", "airflow.api_fastapi.core_api.security", "windhover.ui.pages"} == set()


def test_the_serving_process_loads_no_training_library():
    loaded = load_modules("include.serving.app")
    assert "onnxruntime" in loaded
    assert loaded & {"torch", "torchvision", "mlflow", "evidently", "great_expectations", "airflow"} == set()
