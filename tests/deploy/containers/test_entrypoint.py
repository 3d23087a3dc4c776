import os
import subprocess
import sys

from include.settings import REPOSITORY


def _run(*arguments, **variables):
    command = [sys.executable, "-m", "deploy.containers.entrypoint", *arguments]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)} | variables
    return subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)


def test_an_unknown_part_or_none_lists_the_known_ones():
    for arguments in (["nonsense"], []):
        done = _run(*arguments)
        assert done.returncode == 1
        assert "known: airflow, migrate, settings, mlflow, serving, watcher" in done.stderr
        assert "Traceback" not in done.stderr


def test_the_serving_image_needs_no_airflow_to_start():
    probe = (
        "import sys, deploy.containers.entrypoint as e, deploy.containers.health;"
        "print(sorted(m for m in ('airflow', 'cryptography', 'celery', 'torch', 'mlflow') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", probe], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
