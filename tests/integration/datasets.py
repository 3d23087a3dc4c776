"""What people do with data, done once a session on the stack: every fixture is an act, and returns its runs."""

import subprocess
import sys
from urllib.parse import quote

import pytest

from examples.story.errors import StoryError
from include.ledger import Ledger
from include.settings import REPOSITORY
from include.storage import Store
from tests.integration.deliveries import (
    BAD_DAY,
    DAYS,
    IMAGES,
    METERS,
    SHAPES,
    SHOTS,
    SUBJECT,
    add_meters,
    deliver_readings,
    write_shapes,
)

FOLDER, DAILY = f"{SHAPES}.ingest_images", f"{METERS}.ingest_images"
MORE = 2  # images added to each class
REASON = "request 2026-117, seen by two people"


@pytest.fixture(scope="session")
def ledger(stack):
    return Ledger(stack.ledger_uri)


@pytest.fixture(scope="session")
def store(stack):
    return Store(str(stack.store))


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    """A folder of images per class, one of them there twice and one broken."""
    folder = tmp_path_factory.mktemp("shapes")
    write_shapes(folder, range(IMAGES))
    whole = (folder / "circle" / "circle-000.png").read_bytes()
    (folder / "circle" / "twin.png").write_bytes(whole)
    (folder / "circle" / "broken.png").write_bytes(whole[: len(whole) // 2])
    return folder


@pytest.fixture(scope="session")
def projects(stack, images):
    """The folder, made a project by the command, and a project of daily deliveries; what the command said."""
    command = [sys.executable, "-m", "deploy.new_project", SHAPES, str(images)]
    made = subprocess.run(command, cwd=REPOSITORY, env=stack.environment, capture_output=True, text=True, check=True)
    file = stack.projects / f"{SHAPES}.yaml"
    file.write_text(file.read_text().replace("quiet_seconds: 60", "quiet_seconds: 1"))
    add_meters(stack.projects)
    for number, day in enumerate(DAYS):
        deliver_readings(stack.landing, day, corrupt=int(number == 2), shown=2 if number < 2 else 0)
    deliver_readings(stack.landing, BAD_DAY, corrupt=SHOTS // 3)
    return made.stdout


@pytest.fixture(scope="session")
def loop(projects, airflow):
    """Airflow, with what is needed of these projects unpaused, which begins the folder's run of today."""
    for dag in ("train_model", "forget_images", "ingest_images"):
        airflow.unpause(f"{SHAPES}.{dag}")
    for dag in ("ingest_images", "release_quarantine", "forget_images", "maintain_platform"):
        airflow.unpause(f"{METERS}.{dag}")
    return airflow


@pytest.fixture(scope="session")
def later_days(loop):
    """A first backfill, which is under way."""
    return begin_backfill(loop, DAYS[2:])


@pytest.fixture(scope="session")
def trained(loop, later_days):
    """The folder's run of today, and the training that its announcement started; others would only cost time."""
    first = loop.wait_for_new_run(FOLDER, set())
    training = loop.wait_for_new_run(f"{SHAPES}.train_model", set())
    loop._call("PATCH", f"/dags/{SHAPES}.train_model", {"is_paused": True})
    return first, training


@pytest.fixture(scope="session")
def arrived(loop, trained, images):
    """The runs of the folder: as it came, with more images, and unchanged."""
    write_shapes(images, range(IMAGES, IMAGES + MORE))
    return trained[0], run_by_hand(loop, FOLDER), run_by_hand(loop, FOLDER)


@pytest.fixture(scope="session")
def backfilled(loop, later_days):
    """All runs of two backfills, the second from the last day to the first, and one by hand on a day meanwhile."""
    for run in later_days:
        loop.wait_for_run(DAILY, run)
    every_day = begin_backfill(loop, DAYS, run_backwards=True)
    by_hand = run_by_hand(loop, DAILY, partition=DAYS[2])
    for run in every_day:
        loop.wait_for_run(DAILY, run)
    return [*later_days, *every_day], by_hand


@pytest.fixture(scope="session")
def refused(loop, backfilled):
    """The failed run of a day of which a quarter is in quarantine, and how often it was tried."""
    run = loop.trigger(DAILY, partition=BAD_DAY)
    with pytest.raises(StoryError, match="validate_images=failed"):
        loop.wait_for_run(DAILY, run)
    (attempts,) = [task["try_number"] for task in loop.tasks(DAILY, run) if task["task_id"] == "validate_images"]
    return run, attempts


@pytest.fixture(scope="session")
def released(loop, refused):
    """The same run, after its quarantine was released and it was cleared."""
    run_by_hand(loop, f"{METERS}.release_quarantine", conf={"partition": BAD_DAY, "reason": REASON})
    loop._call("POST", f"/dags/{DAILY}/dagRuns/{quote(refused[0])}/clear", {"dry_run": False, "only_failed": True})
    loop.wait_for_run(DAILY, refused[0])
    return refused[0]


@pytest.fixture(scope="session")
def subject_erased(loop, released):
    """The run that erased every image of a subject, and a run of a day that delivers some of them again."""
    run = run_by_hand(loop, f"{METERS}.forget_images", conf={"subject": SUBJECT, "reason": REASON})
    return run, run_by_hand(loop, DAILY, partition=DAYS[0])


def begin_backfill(airflow, days, **how):
    """Begin a backfill of the meters and return its runs, which Airflow makes at once."""
    known = airflow.run_ids(DAILY)
    body = {"dag_id": DAILY, "from_date": f"{days[0]}T00:00:00Z", "to_date": f"{days[-1]}T00:00:00Z"}
    airflow._create_backfill(body | {"max_active_runs": 3, "reprocess_behavior": "completed"} | how)
    # Unpausing begins the run of today as well, at about the same moment; it waits for a delivery that never comes.
    return sorted(run for run in airflow.run_ids(DAILY) - known if run.startswith("backfill"))


def run_by_hand(airflow, dag, **how):
    """Trigger a DAG, wait until it succeeded, and return the run."""
    run = airflow.trigger(dag, **how)
    airflow.wait_for_run(dag, run)
    return run


def read_log(stack, dag, run, task):
    """Return the log of a task's first attempt."""
    path = f"/api/v2/dags/{dag}/dagRuns/{quote(run)}/taskInstances/{task}/logs/1"
    return stack.airflow.get(path, headers={"Accept": "application/json"}).raise_for_status().text


def read_page(stack, path, **query):
    """Return one of the pages of the datasets, as HTML."""
    return stack.airflow.get(f"/windhover/{path}", params=query).raise_for_status().text
