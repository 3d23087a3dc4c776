import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.untrained_releases import ReleaseMaker
from include.ledger import Ledger
from include.project import load_project
from tests.include.cli.test_dataset_verbs import report
from tests.include.cli.test_verbs import complaint
from tests.rollouts import serve

DAY = "2026-11-02"


@pytest.fixture
def ingested(machine, invoke):
    machine.deliver(DAY, images=12)
    return report(invoke("ingest", "--day", DAY, "--json"))


@pytest.fixture
def champion(machine, settings):
    project = load_project(machine.projects / f"{machine.project}.yaml")
    ledger = Ledger(settings.ledger_uri)
    release = ReleaseMaker(project, settings.home, settings.open_store(), ledger).make(1)
    serve(ledger, release)
    return release


def test_a_day_is_answered_by_the_champion_and_found_again(ingested, champion, settings, invoke):
    scored = report(invoke("predict-batch", "--day", DAY, "--json"))
    assert (scored["release"], scored["images"]) == (champion.digest, 12)
    assert scored["dataset"]["digest"] == ingested["digest"]
    answers = settings.open_store().read(f"{scored['address']}/predictions.parquet")
    assert pq.read_table(pa.BufferReader(answers)).num_rows == 12
    assert report(invoke("predict-batch", "--day", DAY, "--json")) == scored


def test_without_a_champion_then_nothing_is_answered(ingested, champion, invoke):
    line = complaint(invoke("predict-batch", "--day", DAY, "--champion-at", "2026-01-01"), 2)
    assert "nothing answered" in line


def test_a_day_without_images_is_refused(ingested, champion, invoke):
    assert "holds no image" in complaint(invoke("predict-batch", "--day", "2026-11-09"), 2)
