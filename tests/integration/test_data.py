"""Data you can answer for, on the real Airflow: own folders, backfills, releases, erasures, lineage, maintenance."""

import base64
import json
import subprocess
import sys
from urllib.parse import quote

import pytest
import sqlalchemy as sa

from examples.story.errors import StoryError
from include.cli.workplace import Workplace
from include.data.lineage import trace_source
from include.ledger import Ledger
from include.ledger.datasets import find_latest_dataset
from include.project import load_project
from include.settings import REPOSITORY, Settings
from include.storage import Store
from include.vision.images import read_rows
from tests.integration.datasets import (
    BAD_DAY,
    CLASSES,
    DAYS,
    IMAGES,
    METERS,
    SHAPES,
    SHOTS,
    SUBJECT,
    add_meters,
    deliver_readings,
    leave_alone,
    write_shapes,
)

pytestmark = pytest.mark.integration

FOLDER, DAILY = f"{SHAPES}.ingest_images", f"{METERS}.ingest_images"
MORE = 2  # images added to each class
REASON = "request 2026-117, seen by two people"


@pytest.fixture(scope="session")
def images(stack, tmp_path_factory):
    """A folder of images per class, one of them there twice and one broken."""
    folder = tmp_path_factory.mktemp("own") / "images"
    write_shapes(folder, range(IMAGES))
    whole, twin, broken = (folder / "circle" / f"{name}.png" for name in ("circle-000", "twin", "broken"))
    twin.write_bytes(whole.read_bytes())
    broken.write_bytes(whole.read_bytes()[:200])
    leave_alone(twin)
    leave_alone(broken)
    return folder


@pytest.fixture(scope="session")
def own(stack, images):
    """Say what the command says that makes the folder a project; another project has daily deliveries."""
    command = [sys.executable, "-m", "deploy.new_project", SHAPES, str(images)]
    made = subprocess.run(command, cwd=REPOSITORY, env=stack.environment, capture_output=True, text=True, check=True)
    add_meters(stack.projects)
    for number, day in enumerate(DAYS):
        deliver_readings(stack.landing, day, corrupt=int(number == 2), shown=2 if number < 2 else 0)
    deliver_readings(stack.landing, BAD_DAY, corrupt=SHOTS // 3)
    return made.stdout


@pytest.fixture(scope="session")
def loop(own, airflow):
    """Airflow, with what is needed of the own projects unpaused. The daily run of the folder begins at once."""
    for dag in ("ingest_images", "train_model", "forget_images"):
        airflow.unpause(f"{SHAPES}.{dag}")
    for dag in ("ingest_images", "release_quarantine", "forget_images", "maintain_platform"):
        airflow.unpause(f"{METERS}.{dag}")
    return airflow


@pytest.fixture(scope="session")
def ledger(stack):
    return Ledger(stack.ledger_uri)


@pytest.fixture(scope="session")
def store(stack):
    return Store(str(stack.store))


@pytest.fixture(scope="session")
def later_days(loop):
    """The runs of a first backfill, which is under way."""
    return begin_backfill(loop, DAYS[2:])


@pytest.fixture(scope="session")
def arrived(loop, later_days, images, stack):
    """The runs of the folder: as it came, with more images, and once more unchanged."""
    (first,) = loop.run_ids(FOLDER)
    loop.wait_for_run(FOLDER, first)
    write_shapes(images, range(IMAGES, IMAGES + MORE))
    return first, run_by_hand(loop, FOLDER), run_by_hand(loop, FOLDER)


@pytest.fixture(scope="session")
def backfilled(loop, later_days):
    """The runs of a second backfill, of all days and from the last to the first, and one by hand on one of its days."""
    for run in later_days:
        loop.wait_for_run(DAILY, run)
    every_day = begin_backfill(loop, DAYS, run_backwards=True)
    by_hand = run_by_hand(loop, DAILY, partition=DAYS[2])
    for run in every_day:
        loop.wait_for_run(DAILY, run)
    return [*later_days, *every_day], by_hand


@pytest.fixture(scope="session")
def failed(loop, backfilled):
    """The run of a day of which a quarter is in quarantine."""
    run = loop.trigger(DAILY, partition=BAD_DAY)
    with pytest.raises(StoryError, match="validate_images=failed"):
        loop.wait_for_run(DAILY, run)
    return run


@pytest.fixture(scope="session")
def refusal(loop, failed, stack):
    """What was known of the failed run before it was released: the task's attempts, and its log."""
    (task,) = [task for task in loop.tasks(DAILY, failed) if task["task_id"] == "validate_images"]
    return task["try_number"], read_log(stack, DAILY, failed, "validate_images")


@pytest.fixture(scope="session")
def released(loop, refusal, failed):
    """The failed run, released and cleared."""
    run_by_hand(loop, f"{METERS}.release_quarantine", conf={"partition": BAD_DAY, "reason": REASON})
    loop._call("POST", f"/dags/{DAILY}/dagRuns/{quote(failed)}/clear", {"dry_run": False, "only_failed": True})
    loop.wait_for_run(DAILY, failed)
    return failed


@pytest.fixture(scope="session")
def victim(loop, arrived, images, stack, ledger, store):
    """An image that a model has learned from, with its bytes."""
    loop.wait_for_new_run(f"{SHAPES}.train_model", set())
    (report,) = trace_source(SHAPES, str(images / "square" / "square-007.png"), store, ledger)
    rows = read_rows(find_latest_dataset(ledger, SHAPES), store, ["digest", "image"])
    content = dict(zip(rows["digest"].to_pylist(), rows["image"].to_pylist(), strict=True))[report.image]
    assert files_with(stack.home / "store", content), "the search finds what is there"
    return report, content


@pytest.fixture(scope="session")
def forgotten(loop, victim):
    """The run that erased the image, and a run of the folder in which it still lies."""
    erased = run_by_hand(loop, f"{SHAPES}.forget_images", conf={"digest": victim[0].image, "reason": REASON})
    return erased, run_by_hand(loop, FOLDER)


@pytest.fixture(scope="session")
def unknown(loop, backfilled, released):
    """The run that erased every image of a subject, and a run of one of its days."""
    erased = run_by_hand(loop, f"{METERS}.forget_images", conf={"subject": SUBJECT, "reason": REASON})
    return erased, run_by_hand(loop, DAILY, partition=DAYS[0])


def begin_backfill(airflow, days, **how):
    """Begin a backfill of the meters and return its runs, which Airflow makes at once."""
    known = airflow.run_ids(DAILY)
    body = {"dag_id": DAILY, "from_date": f"{days[0]}T00:00:00Z", "to_date": f"{days[-1]}T00:00:00Z"}
    airflow._create_backfill(body | {"max_active_runs": 3, "reprocess_behavior": "completed"} | how)
    return sorted(airflow.run_ids(DAILY) - known)


def run_by_hand(airflow, dag, **how):
    """Trigger a DAG, wait until it succeeded, and return the run."""
    run = airflow.trigger(dag, **how)
    airflow.wait_for_run(dag, run)
    return run


def announcements(stack, dag):
    """Return the runs of an ingest DAG that told others of a new dataset version."""
    events = stack.airflow.get("/api/v2/assets/events", params={"source_dag_id": dag}).raise_for_status().json()
    return {event["source_run_id"] for event in events["asset_events"]}


def read_log(stack, dag, run, task):
    path = f"/api/v2/dags/{dag}/dagRuns/{quote(run)}/taskInstances/{task}/logs/1"
    return stack.airflow.get(path, headers={"Accept": "application/json"}).raise_for_status().text


def read_page(stack, path, **query):
    return stack.airflow.get(f"/windhover/{path}", params=query).raise_for_status().text


def files_with(folder, content):
    """Return the files below a folder that hold some bytes, as they are or as Base64."""
    wanted = content, base64.b64encode(content).rstrip(b"=")[:-1]
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if any(one in path.read_bytes() for one in wanted)]


def tables_with(stack, database, text):
    """Return the tables of one of the stack's databases that hold a text in any column."""
    engine = sa.create_engine(sa.make_url(stack.ledger_uri).set(database=database))
    wanted = {"plain": f"%{text}%", "bytes": f"%{text.encode().hex()}%"}
    found = set()
    with engine.connect() as connection:
        for name in sa.inspect(engine).get_table_names():
            row = f'SELECT count(*) FROM "{name}" AS row WHERE row::text LIKE :plain OR row::text LIKE :bytes'  # noqa: S608
            found |= {name} if connection.scalar(sa.text(row), wanted) else set()
    engine.dispose()
    return found


def test_a_folder_of_ones_own_images_becomes_a_dataset_without_code(own, arrived, loop, stack):
    first, _, _ = arrived
    report = loop.result(FOLDER, first, "validate_images")
    whole = IMAGES * len(CLASSES)
    assert "shapes.yaml" in own
    assert (report["seen"], report["accepted"], report["duplicates"]) == (whole + 2, whole, 1)
    assert report["reasons"] == {"truncated": 1}
    assert report["labels"] == dict.fromkeys(CLASSES, IMAGES)
    assert first in announcements(stack, FOLDER)


def test_more_images_make_a_new_version_and_training_hears_of_it(arrived, loop, stack):
    first, more, _ = arrived
    before, after = (loop.result(FOLDER, run, "publish_dataset") for run in (first, more))
    assert after["images"] == before["images"] + MORE * len(CLASSES)
    assert after["version"] > before["version"]
    assert more in announcements(stack, FOLDER)
    loop.wait_for_new_run(f"{SHAPES}.train_model", set())


def test_unchanged_images_make_no_version_and_training_hears_nothing(arrived, loop, stack):
    _, more, again = arrived
    before, after = (loop.result(FOLDER, run, "publish_dataset") for run in (more, again))
    assert after == before
    assert loop.task_states(FOLDER, again)["announce_dataset"] == "skipped"
    assert again not in announcements(stack, FOLDER)


def test_backfills_in_any_order_give_the_content_of_one_day_after_the_other(
    backfilled, stack, ledger, ledger_uri, tmp_path
):
    settings = Settings(landing=str(stack.landing), store=str(tmp_path / "store"), ledger_uri=ledger_uri)
    sequence = Workplace(load_project(stack.projects / f"{METERS}.yaml"), settings)
    expected = [sequence.ingest(day) for day in DAYS][-1]
    found = find_latest_dataset(ledger, METERS)
    assert (found.digest, found.images, found.labelled) == (expected.digest, expected.images, expected.labelled)


def test_a_backfill_and_a_day_that_it_published_tell_training_nothing(backfilled, loop, stack):
    runs, by_hand = backfilled
    assert {loop.task_states(DAILY, run)["announce_dataset"] for run in [*runs, by_hand]} == {"skipped"}
    assert announcements(stack, DAILY).isdisjoint([*runs, by_hand])


def test_too_many_bad_images_fail_the_day_at_once(refusal):
    attempts, log = refusal
    assert attempts == 1
    assert f"{SHOTS // 3} of {SHOTS + SHOTS // 3}" in log


def test_a_released_day_passes_and_says_who_let_it(released, loop, stack, ledger):
    report = loop.result(DAILY, released, "validate_images")
    assert (report["accepted"], report["quarantined"]) == (SHOTS, SHOTS // 3)
    assert loop.task_states(DAILY, released)["publish_dataset"] == "success"
    page = read_page(stack, f"quarantine/{METERS}/{BAD_DAY}")
    assert "admin released this content" in page
    assert REASON in page


def test_a_forgotten_image_is_gone_from_every_file(forgotten, victim, loop, stack):
    receipt = loop.result(f"{SHAPES}.forget_images", forgotten[0], "forget_images")
    report, content = victim
    assert receipt["images"] == [report.image]
    assert receipt["models"] == sorted(report.models)
    assert receipt["sources"] == list(report.sources)
    assert files_with(stack.home / "store", content) == []
    assert "1 image(s) are gone" in read_log(stack, f"{SHAPES}.forget_images", forgotten[0], "forget_images")


def test_a_forgotten_image_does_not_come_back(forgotten, victim, loop, ledger, store):
    report = loop.result(FOLDER, forgotten[1], "validate_images")
    assert report["reasons"] == {"truncated": 1, "forgotten": 1}
    held = read_rows(find_latest_dataset(ledger, SHAPES), store, ["digest"])["digest"].to_pylist()
    assert len(held) == (IMAGES + MORE) * len(CLASSES) - 1
    assert victim[0].image not in held


def test_lineage_tells_that_it_was_erased_and_who_had_learned_from_it(forgotten, victim, stack):
    page = read_page(stack, f"lineage/{SHAPES}", image=victim[0].image)
    assert "no version holds it any more" in page
    assert "learned from erased" in page


def test_a_forgotten_subject_is_named_nowhere_but_in_the_form_of_its_run(unknown, loop, stack, ledger, store):
    receipt = loop.result(f"{METERS}.forget_images", unknown[0], "forget_images")
    assert len(receipt["images"]) == 4
    assert loop.result(DAILY, unknown[1], "validate_images")["reasons"] == {"forgotten": 2}
    kept = [path for path in stack.home.iterdir() if path.name not in {"postgres", "landing"}]
    assert [path for folder in kept for path in files_with(folder, SUBJECT.encode())] == []
    assert {database: tables_with(stack, database, SUBJECT) for database in ("airflow", "mlflow", "windhover")} == {
        "airflow": {"dag_run"}, "mlflow": set(), "windhover": set(),
    }  # fmt: skip


def test_openlineage_tells_what_the_tasks_of_an_ingest_read_and_wrote(arrived, loop, stack):
    first = arrived[0]
    published = loop.result(FOLDER, first, "publish_dataset")
    events = read_events(stack, FOLDER, first)
    for task in ("collect_batch", "ingest", "validate_images", "publish_dataset", "describe_dataset"):
        assert {"START", "COMPLETE"} <= {kind for name, kind in events if name == task}, task
    (output,) = events["publish_dataset", "COMPLETE"]["outputs"]
    assert output["name"].endswith("shapes/images.lance")
    assert output["facets"]["version"]["datasetVersion"] == str(published["version"])
    assert output["outputFacets"]["outputStatistics"]["rowCount"] == published["images"]
    (judged,) = [one for one in events["validate_images", "COMPLETE"]["inputs"] if "dataQualityAssertions" in str(one)]
    assert judged["facets"]["dataQualityAssertions"]["assertions"]


def test_openlineage_is_told_nothing_of_an_erasure(forgotten, unknown, stack):
    jobs = {event["job"]["name"] for event in all_events(stack)}
    assert DAILY in jobs
    assert not [job for job in jobs if "forget_images" in job]


def test_maintenance_leaves_the_content_as_it_is(unknown, loop, ledger):
    before = find_latest_dataset(ledger, METERS)
    run_by_hand(loop, f"{METERS}.maintain_platform")
    after = find_latest_dataset(ledger, METERS)
    assert (after.digest, after.images) == (before.digest, before.images)


def all_events(stack):
    events = stack.home / "openlineage" / "events.ndjson"
    return [json.loads(line) for line in events.read_text().splitlines()]


def read_events(stack, dag, run):
    """Return the last event of every task of a run and kind."""
    found = {}
    for event in all_events(stack):
        if run in json.dumps(event["run"]):
            found[event["job"]["name"].removeprefix(f"{dag}."), event["eventType"]] = event
    return found
