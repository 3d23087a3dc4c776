from datetime import UTC, datetime

import lance
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.untrained_releases import ReleaseMaker
from include.contracts import BatchReport, BatchShardRef
from include.errors import ArtifactNotFoundError, ContractViolationError, DataQualityError
from include.settings import load_settings
from include.vision.images import digest_rows
from include.vision.schema import IMAGES
from tests.include.rows import make_row
from tests.plugins.samples import BATCH_REPORT, BATCH_SHARD, DATASET, DAY, RELEASE
from tests.plugins.task_runs import NOW, make_event, make_run, run_task
from tests.rollouts import serve
from windhover.assets import ProjectAssets

NEWEST = DATASET.model_copy(update={"version": 9})
EVENT = make_event(ProjectAssets("digits").curated_dataset, DATASET.model_dump(mode="json"))
ROLLOUTS = {"_link_rollouts": "/windhover/rollouts/digits"}
SHARDS = [BATCH_SHARD, BATCH_SHARD.model_copy(update={"index": 1})]


@pytest.fixture
def dag(load_dag, ledger_connection, stages):
    stages.replace("include.ledger.datasets.find_latest_dataset", NEWEST)
    return load_dag("predict_batch")


@pytest.fixture
def select(dag, api_server, stages):
    """Give a function that runs select_release, and returns how it ended and what it asked for."""

    def run(release=RELEASE, run_type="manual", **values):
        asked = stages.replace("include.deployment.batch_plan.select_release", release)
        planned = stages.replace("include.deployment.batch_plan.plan_batch", SHARDS)
        outcome = run_task(api_server, dag, "select_release", make_run(dag.dag_id, run_type, **values))
        return outcome, asked, planned

    return run


def test_an_updated_day_is_planned_for_the_champion_of_the_run(select, api_server, project):
    outcome, asked, planned = select(run_type="asset_triggered", partition_key=DAY, consumed_asset_events=[EVENT])
    assert (asked[0]["version"], asked[0]["moment"]) == (None, NOW)
    assert (planned[0]["project"], planned[0]["dataset"]) == (project, DATASET)
    assert (planned[0]["partition"], planned[0]["release"]) == (DAY, RELEASE)
    assert [BatchShardRef.model_validate(shard) for shard in api_server.returned["select_release"]] == SHARDS
    assert outcome.links == ROLLOUTS


def test_by_hand_the_newest_dataset_is_answered_announced_or_not(select):
    _, asked, planned = select(conf={"day": "2026-01-31", "version": 3})
    assert (asked[0]["version"], planned[0]["dataset"], planned[0]["partition"]) == (3, NEWEST, "2026-01-31")


@pytest.mark.parametrize(
    ("day", "champion_at", "moment"),
    [
        ("2026-01-31", "now", NOW),
        ("2026-01-31", "day", datetime(2026, 2, 1, tzinfo=UTC)),
        (f"{NOW:%Y-%m-%d}", "day", NOW),
        ("2026-01-31", "2026-02-03T09:00", datetime(2026, 2, 3, 9, tzinfo=UTC)),
        ("2026-01-31", "2026-02-03T09:00:00+02:00", datetime(2026, 2, 3, 7, tzinfo=UTC)),
    ],
)
def test_the_form_may_ask_the_champion_of_another_moment(select, day, champion_at, moment):
    _, asked, _ = select(conf={"day": day, "champion_at": champion_at})
    assert asked[0]["moment"] == moment


def test_a_backfill_asks_the_champion_of_the_end_of_its_day(select):
    _, asked, planned = select(run_type="backfill", partition_key="2026-01-31")
    assert asked[0]["moment"] == datetime(2026, 2, 1, tzinfo=UTC)
    assert planned[0]["partition"] == "2026-01-31"


def test_while_nothing_answers_the_run_is_skipped_and_says_what_to_do(select, api_server, capsys):
    outcome, _, planned = select(None, "asset_triggered", partition_key=DAY, consumed_asset_events=[EVENT])
    assert (outcome.state, outcome.links, planned) == ("skipped", ROLLOUTS, [])
    assert f"trigger digits.predict_batch by hand with the day {DAY}" in capsys.readouterr().out
    assert "select_release" not in api_server.returned


@pytest.mark.parametrize("conf", [{}, {"day": "2026-01-31", "champion_at": "2026-02-31T09:00"}])
def test_a_run_without_a_day_or_moment_is_final(select, conf):
    outcome, *_ = select(conf=conf)
    assert outcome.state == "failed"
    assert isinstance(outcome.error, ContractViolationError)


def test_without_a_dataset_it_says_what_to_run(select, stages):
    stages.replace("include.ledger.datasets.find_latest_dataset", None)
    outcome, *_ = select(conf={"day": DAY})
    assert outcome.state == "failed"
    assert isinstance(outcome.error, ArtifactNotFoundError)
    assert "ingest_images" in str(outcome.error)


def test_a_shard_is_answered_under_its_index(dag, api_server, stages, machine):
    calls = stages.replace("include.deployment.batch.score_shard", "digits/batch_predictions/x.parquet")
    api_server.returned["select_release"] = [shard.model_dump(mode="json") for shard in SHARDS]

    outcome = run_task(api_server, dag, "score", map_index=1)

    assert (outcome.state, outcome.rendered_index) == ("success", "shard 1")
    assert (calls[0]["shard"], calls[0]["store"].root) == (SHARDS[1], str(machine / "store"))
    assert BatchShardRef.model_validate(api_server.returned["score"]) == SHARDS[1]
    assert outcome.task.reads == [DATASET]


@pytest.fixture
def publish(dag, api_server, stages):
    """Give a function that runs publish_predictions."""

    def run(answer, run_type="asset_triggered", **values):
        calls = stages.replace("include.deployment.batch.publish_batch", answer)
        api_server.returned["score"] = [shard.model_dump(mode="json") for shard in SHARDS]
        return run_task(api_server, dag, "publish_predictions", make_run(dag.dag_id, run_type, **values)), calls

    return run


def test_all_shards_are_published_and_announced_for_their_day(publish, api_server):
    outcome, calls = publish(BATCH_REPORT, "manual", partition_key="2026-11-21")
    assert calls[0]["shards"] == SHARDS
    assert BatchReport.model_validate(api_server.returned["publish_predictions"]) == BATCH_REPORT
    [event] = outcome.announced
    assert (BatchReport.model_validate(event["extra"]), event["partition_key"]) == (BATCH_REPORT, DAY)
    assert outcome.links == {"_link_predictions": f"/windhover/reports/{BATCH_REPORT.page}"}


def test_a_day_is_answered_by_who_answered_then_and_found_again(
    load_dag, api_server, ledger_connection, machine, project, digit_images
):
    store, dag = load_settings().open_store(), load_dag("predict_batch")
    rows = [make_row(pixels, label, index, partition=DAY) for index, (pixels, label) in enumerate(digit_images[:30])]
    table = pa.Table.from_pylist(rows, schema=IMAGES)
    version = lance.write_dataset(table, store.uri(DATASET.address)).version
    dataset = DATASET.model_copy(update={"version": version, "digest": digest_rows(table), "images": 30})
    maker = ReleaseMaker(project, machine, store, ledger_connection)
    first = maker.make(1)
    serve(ledger_connection, first, "one")
    asked_at = datetime.now(UTC)
    serve(ledger_connection, maker.make(2), "two")
    event = make_event(ProjectAssets("digits").curated_dataset, dataset.model_dump(mode="json"))
    run = make_run(dag.dag_id, partition_key=DAY, run_after=asked_at, consumed_asset_events=[event])

    def play():
        assert run_task(api_server, dag, "select_release", run).state == "success"
        assert run_task(api_server, dag, "score", run, map_index=0).state == "success"
        api_server.returned["score"] = [api_server.returned["score"]]
        assert run_task(api_server, dag, "publish_predictions", run).state == "success"
        return BatchReport.model_validate(api_server.returned["publish_predictions"])

    report = play()
    assert (report.release, report.partition, report.images) == (first.digest, DAY, 30)
    answers = pq.read_table(pa.BufferReader(store.read(f"{report.address}/predictions.parquet")))
    assert answers["digest"].to_pylist() == sorted(table["digest"].to_pylist())
    assert first.digest in store.read(report.page).decode()
    assert play() == report


def test_images_erased_meanwhile_are_final_and_announce_nothing(publish):
    outcome, _ = publish(DataQualityError("erased"))
    assert (outcome.state, outcome.announced) == ("failed", [])
