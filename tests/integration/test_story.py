"""The whole loop, played on the real stack: interrupted once, refused twice at once, then to its end."""

import httpx
import pytest
from mlflow import MlflowClient

from examples.story.airflow_client import AirflowClient
from include.ledger.datasets import find_latest_dataset, list_partitions
from include.ledger.episodes import find_unclosed_episode
from include.ledger.models import find_alias
from include.ledger.rollouts import list_rollouts
from tests.rollouts import find_champion

pytestmark = pytest.mark.integration


def test_ctrl_c_says_that_nothing_is_lost(played):
    code, said = played.interrupted
    assert code == 130, said
    assert "Interrupted. Nothing is lost" in said
    assert "Traceback" not in said


def test_a_second_demo_at_once_is_refused_in_one_line(played):
    code, said = played.refused
    assert code == 1
    assert "another `make demo` is playing" in said
    assert len(said.strip().splitlines()) <= 2


def test_every_chapter_happened(played):
    code, said = played.told
    assert code == 0, said
    assert said.count("✓") == 10, said
    assert "the loop turned" in said


def test_what_the_story_says_stands_in_ledger_and_registry(played, stack, ledger):
    assert played.told[0] == 0, played.told[1]
    champion, previous = find_alias(ledger, "digits", "champion"), find_alias(ledger, "digits", "previous")
    assert (champion, previous) == (2, 1)
    client = MlflowClient(stack.mlflow_url)
    assert int(client.get_model_version_by_alias("digits", "champion").version) == champion
    assert int(client.get_model_version_by_alias("digits", "previous").version) == previous
    assert find_unclosed_episode(ledger, "digits") is None
    live = stack.serving.get("/v1/release").json()["projects"]["digits"]["live"]
    assert live == find_champion(ledger).digest


def test_the_second_release_went_into_service_as_a_canary_judged_live(played, ledger):
    assert played.told[0] == 0, played.told[1]
    canary, first = list_rollouts(ledger, "digits")
    assert [(one.rollout.strategy, one.state) for one in (first, canary)] == [
        ("direct", "completed"),
        ("canary", "completed"),
    ]
    assert canary.report.verdict == "promote"
    assert canary.report.requests > 0
    assert {"errors", "latency"} <= {one.metric for one in canary.report.metrics if one.verdict == "safe"}


def test_going_back_and_forward_again_takes_seconds_and_loses_nobody(played, stack, ledger):
    assert played.told[0] == 0, played.told[1]
    airflow, new = AirflowClient(stack.airflow_url, stack.password), find_champion(ledger)
    for to, version in (("previous", 1), ("next", 2)):
        run = airflow.trigger("digits.switch_release", {"to": to, "reason": "to see that it works"})
        airflow.wait_for_run("digits.switch_release", run)
        assert find_champion(ledger).model.version == version
    assert find_champion(ledger) == new


def test_a_day_run_again_gives_the_same_bytes(played, stack, ledger):
    assert played.told[0] == 0, played.told[1]
    before, day = find_latest_dataset(ledger, "digits"), max(list_partitions(ledger, "digits"))
    airflow = AirflowClient(stack.airflow_url, stack.password)
    run = airflow.trigger("digits.ingest_images", partition=day)
    airflow.wait_for_run("digits.ingest_images", run)
    assert airflow.result("digits.ingest_images", run, "publish_dataset") == before.model_dump(mode="json")


def test_a_run_without_a_partition_says_what_to_do(played, stack):
    airflow = AirflowClient(stack.airflow_url, stack.password)
    run = airflow.trigger("digits.ingest_images")
    with pytest.raises(Exception, match="wait_for_batch=failed"):
        airflow.wait_for_run("digits.ingest_images", run)
    path = f"/api/v2/dags/digits.ingest_images/dagRuns/{run}/taskInstances/wait_for_batch/logs/1"
    log = stack.airflow.get(path, headers={"Accept": "application/json"}).text
    assert "trigger it with a partition key such as 2026-01-31" in log


def test_evidence_is_for_signed_in_users_only(played, stack):
    airflow = AirflowClient(stack.airflow_url, stack.password)
    newest = max(airflow.run_ids("digits.promote_model"))
    page = airflow.link("digits.promote_model", newest, "register_model", "Model card")
    assert httpx.get(page).status_code == 401
    assert httpx.get(page.replace("/reports/", "/reports/%2e%2e/"), headers=airflow.http.headers).status_code == 404


def test_airflow_found_no_import_errors(played, stack):
    assert stack.airflow.get("/api/v2/importErrors").json()["total_entries"] == 0
