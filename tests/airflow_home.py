"""Importing this points Airflow at an empty home: it reads its options once a process, at its first import."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
HOME = tempfile.mkdtemp(prefix="windhover-test-airflow-")

atexit.register(shutil.rmtree, HOME, ignore_errors=True)
os.environ |= {
    "AIRFLOW_HOME": HOME,
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
    "AIRFLOW__API_AUTH__JWT_SECRET": "a secret of the tests, and long enough to sign with " + "0" * 64,
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
}
