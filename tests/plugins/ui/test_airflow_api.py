import asyncio
from types import SimpleNamespace

import pytest
from fastapi import FastAPI

from include.errors import ServiceUnavailableError
from tests.plugins.ui.conftest import sign_in
from tests.plugins.ui.played_airflow import RUN, make_question
from windhover.ui.airflow_api import AirflowApi, AskingTask, RefusedError, open_api


@pytest.fixture
def api(server):
    return AirflowApi(server, f"Bearer {sign_in('user')}")


def test_the_newest_runs_are_those_of_dags_that_ran(api, airflow):
    airflow.runs = {"digits.train_model": "failed"}
    runs = asyncio.run(api.list_newest_runs(["digits.train_model", "digits.deploy_model"]))
    assert {dag: run["state"] for dag, run in runs.items()} == {"digits.train_model": "failed"}


def test_questions_of_a_project_whose_name_only_begins_alike_are_not_its_own(api, airflow):
    airflow.questions = [make_question(subject="Ours")]
    assert [one["subject"] for one in asyncio.run(api.list_questions("digits"))] == ["Ours"]


def test_names_are_quoted_so_that_none_leads_elsewhere(api):
    task = AskingTask("digits.a/../b", RUN, "t?x=1", -1)
    assert task.path == (
        "/dags/digits.a%2F..%2Fb/dagRuns/manual__2026-11-21T10%3A00%3A00%2B00%3A00/taskInstances/t%3Fx%3D1/-1"
    )


def test_what_airflow_refuses_carries_its_status_and_its_reason(server, airflow):
    viewer = AirflowApi(server, f"Bearer {sign_in('viewer')}")
    with pytest.raises(RefusedError, match="Airflow answers 403: Forbidden") as refusal:
        asyncio.run(viewer.trigger("digits.switch_release", {}, "why"))
    assert (refusal.value.status, airflow.deeds) == (403, [])


def test_nobody_is_somebody_by_saying_so(server):
    with pytest.raises(RefusedError) as refusal:
        asyncio.run(AirflowApi(server, "Bearer nonsense").list_questions("digits"))
    assert refusal.value.status in {401, 403}


def test_an_answer_that_is_no_json_is_said(server, api):
    app = FastAPI()
    app.get("/api/v2/dags/{dag}/dagRuns")(lambda: 1 / 0)
    with pytest.raises(RefusedError, match="Airflow answers 500: Internal Server Error"):
        asyncio.run(AirflowApi(app, api.credentials).list_newest_runs(["digits.train_model"]))


def test_who_brings_a_token_of_their_own_is_asked_for_with_it():
    request = SimpleNamespace(
        scope={"airflow": object()}, headers={"authorization": "Bearer a"}, cookies={"_token": "b"}
    )
    assert open_api(request).credentials == "Bearer a"
    request.headers = {}
    assert open_api(request).credentials == "Bearer b"


def test_outside_of_airflows_server_there_is_nobody_to_ask():
    with pytest.raises(ServiceUnavailableError, match="API server"):
        open_api(SimpleNamespace(scope={}, headers={}, cookies={}))
