"""Forgetting on the real Airflow: an image and a subject, searched for in every file and table of the stack."""

import base64
from urllib.parse import quote

import pytest
import sqlalchemy as sa

from include.data.lineage import trace_source
from include.ledger.datasets import find_latest_dataset
from include.vision.images import read_rows
from tests.integration.datasets import DAILY, FOLDER, MORE, REASON, read_log, read_page, run_by_hand
from tests.integration.deliveries import CLASSES, IMAGES, METERS, SHAPES, SUBJECT

pytestmark = pytest.mark.integration

FORGET = "forget_images"


@pytest.fixture(scope="module")
def victim(arrived, images, stack, ledger, store):
    """An image that a model has learned from, and its bytes."""
    (report,) = trace_source(SHAPES, str(images / "square" / "square-007.png"), store, ledger)
    rows = read_rows(find_latest_dataset(ledger, SHAPES), store, ["digest", "image"])
    content = dict(zip(rows["digest"].to_pylist(), rows["image"].to_pylist(), strict=True))[report.image]
    assert report.models
    assert files_with(stack.home, content), "the search finds what is there"
    return report, content


@pytest.fixture(scope="module")
def image_erased(loop, victim):
    """The run that erased the image, and a run of the folder in which it still lies."""
    run = run_by_hand(loop, f"{SHAPES}.{FORGET}", conf={"digest": victim[0].image, "reason": REASON})
    return run, run_by_hand(loop, FOLDER)


def files_with(home, content):
    """Return the stack's own files that hold some bytes, as they are or as Base64."""
    wanted = content, base64.b64encode(content).rstrip(b"=")[:-1]
    kept = [folder for folder in home.iterdir() if folder.name not in {"postgres", "landing"}]
    files = [path for folder in kept for path in (folder, *folder.rglob("*")) if path.is_file()]
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


def test_a_forgotten_image_is_gone_from_every_file(image_erased, victim, loop, stack):
    (report, content), dag = victim, f"{SHAPES}.{FORGET}"
    receipt = loop.result(dag, image_erased[0], FORGET)
    assert receipt["images"] == [report.image]
    assert receipt["models"] == sorted(report.models)
    assert receipt["sources"] == list(report.sources)
    assert receipt["requested_by"] == "admin"
    assert "1 image(s) are gone" in read_log(stack, dag, image_erased[0], FORGET)
    assert files_with(stack.home, content) == []


def test_a_forgotten_image_does_not_come_back(image_erased, victim, loop, ledger, store):
    report = loop.result(FOLDER, image_erased[1], "validate_images")
    assert report["reasons"] == {"truncated": 1, "forgotten": 1}
    held = read_rows(find_latest_dataset(ledger, SHAPES), store, ["digest"])["digest"].to_pylist()
    assert len(held) == (IMAGES + MORE) * len(CLASSES) - 1
    assert victim[0].image not in held


def test_its_lineage_says_that_it_was_erased_and_who_had_learned_from_it(image_erased, victim, stack):
    page = read_page(stack, f"lineage/{SHAPES}", image=victim[0].image)
    assert "no version holds it any more" in page
    assert "learned from erased" in page


def test_a_forgotten_subject_is_named_nowhere_once_the_run_with_its_form_is_deleted(subject_erased, loop, stack):
    receipt = loop.result(f"{METERS}.{FORGET}", subject_erased[0], FORGET)
    assert len(receipt["images"]) == 4
    assert loop.result(DAILY, subject_erased[1], "validate_images")["reasons"] == {"forgotten": 2}
    assert files_with(stack.home, SUBJECT.encode()) == []
    assert tables_with(stack, "windhover", SUBJECT) | tables_with(stack, "mlflow", SUBJECT) == set()
    assert tables_with(stack, "airflow", SUBJECT) == {"dag_run"}
    stack.airflow.delete(f"/api/v2/dags/{METERS}.{FORGET}/dagRuns/{quote(subject_erased[0])}").raise_for_status()
    assert tables_with(stack, "airflow", SUBJECT) == set()


def test_openlineage_is_told_nothing_of_an_erasure(image_erased, subject_erased, stack):
    events = (stack.home / "openlineage" / "events.ndjson").read_text()
    assert FOLDER in events
    assert FORGET not in events
