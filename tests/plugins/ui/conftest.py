"""Airflow's web server with our pages, somebody who is signed in, and a dataset with a history."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from airflow.api_fastapi.app import create_auth_manager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from airflow.plugins_manager import get_fastapi_plugins
from fastapi import FastAPI
from fastapi.testclient import TestClient

from include.contracts import DatasetRef, ErasureReport, ModelRef, ModelVersionRef
from include.ledger import Ledger
from include.ledger.datasets import record_read
from include.ledger.erasures import record_erasure
from include.ledger.models import record_candidate, record_model_version
from include.ledger.quality import record_release, record_validation
from include.ledger.tables import dataset_versions, memberships
from include.project import Project
from include.settings import load_settings
from include.storage import Store, digest_bytes
from tests.include.data.stored_versions import make_row, write_version
from tests.plugins.ui.busy_project import play_story
from tests.plugins.ui.played_airflow import PlayedAirflow
from tests.plugins.ui.reports import make_report
from windhover.ui.overview import Overview

DAYS = ("2026-11-01", "2026-11-02", "2026-11-03")


@pytest.fixture
def airflow() -> PlayedAirflow:
    """Airflow's API, beside our pages."""
    return PlayedAirflow()


@pytest.fixture
def server(machine, monkeypatch, airflow) -> FastAPI:
    """Airflow's web server."""
    # The list of revoked tokens is in Airflow's database, which these tests do without.
    monkeypatch.setattr("airflow.models.revoked_token.RevokedToken.is_revoked", lambda _: False)
    create_auth_manager()
    server = FastAPI()
    for app in get_fastapi_plugins()[0]:
        server.mount(app["url_prefix"], app["app"])
    server.mount("/api/v2", airflow.make_app())
    return server


@pytest.fixture
def anonymous(server) -> TestClient:
    """A browser that is not signed in."""
    return TestClient(server, raise_server_exceptions=False, follow_redirects=False)


def sign_in(role: str) -> str:
    """Return the session of somebody who is named like their role."""
    return create_auth_manager().generate_jwt(SimpleAuthManagerUser(username=role, role=role))


@pytest.fixture
def browser(anonymous) -> TestClient:
    """A browser with the session of a viewer."""
    anonymous.cookies.set("_token", sign_in("viewer"))
    return anonymous


@pytest.fixture
def operator(anonymous) -> TestClient:
    """A browser with the session of somebody who may run DAGs."""
    anonymous.cookies.set("_token", sign_in("user"))
    return anonymous


@pytest.fixture
def story(machine_store, ledger_connection) -> Ledger:
    """The ledger of a project in the middle of its story."""
    play_story(machine_store, ledger_connection)
    return ledger_connection


@pytest.fixture
def machine_store(machine) -> Store:
    """The store of the machine the web server runs on."""
    return Store(str(machine / "store"))


@pytest.fixture(scope="session")
def told(create_database, tmp_path_factory) -> tuple[Path, Ledger]:
    """Home and ledger of a project in the middle of its story, for all tests that only look at it."""
    home, ledger = tmp_path_factory.mktemp("told"), Ledger(create_database("told"))
    ledger.migrate()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("WINDHOVER_HOME", str(home))
        play_story(Store(str(home / "store")), ledger)
    return home, ledger


@pytest.fixture
def told_story(machine, told, monkeypatch) -> Ledger:
    """The ledger of a machine whose project is in the middle of its story; nobody may change it."""
    home, ledger = told
    monkeypatch.setenv("WINDHOVER_HOME", str(home))
    monkeypatch.setenv("AIRFLOW_CONN_WINDHOVER_LEDGER", ledger.url.render_as_string(hide_password=False))
    return ledger


@pytest.fixture
def told_view(told_story, project) -> Overview:
    """What the page of that project shows."""
    return Overview(project, load_settings().open_store(), told_story, days=7)


@dataclass
class History:
    """Two dataset versions, a certified model of the first, and three partitions: passed, released and failed."""

    project: Project
    store: Store
    ledger: Ledger
    rows: list[dict[str, Any]]
    versions: list[DatasetRef]

    @property
    def first(self) -> list[dict[str, Any]]:
        """Rows of the first version."""
        return [row for row in self.rows if row["partition"] == DAYS[0]]

    def release(self, reason: str, day: str = DAYS[1]) -> None:
        """Let a partition pass."""
        record_release(self.ledger, "digits", day, make_report(day, success=False).address, "approver", reason)


def _record(ledger: Ledger, dataset: DatasetRef, rows: list[dict[str, Any]]) -> None:
    version: dict[str, Any] = {"project": "digits", "version": dataset.version, "digest": dataset.digest}
    members = [
        {"project": "digits", "since_version": dataset.version}
        | {name: row[name] for name in ("digest", "partition", "source")}
        for row in rows
    ]
    with ledger.begin() as connection:
        document = dataset.model_dump(mode="json")
        connection.execute(sa.insert(dataset_versions).values(version | {"dataset": document}))
        connection.execute(sa.insert(memberships), members)


@pytest.fixture
def history(project, store, ledger, digit_images) -> History:
    """A dataset with a history."""
    rows = [
        make_row(pixels, label, day=DAYS[index // 20], source=f"{DAYS[index // 20]}/images/{index}.png")
        for index, (pixels, label) in enumerate(digit_images[:40])
    ]
    versions = []
    for day, mode in zip(DAYS[:2], ("create", "append"), strict=True):
        brought = [row for row in rows if row["partition"] == day]
        versions.append(write_version(store, brought, mode))
        _record(ledger, versions[-1], brought)
    record_validation(ledger, make_report(DAYS[0]), passed=True)
    for day in DAYS[1:]:
        record_validation(ledger, make_report(day, success=False), passed=False)
    key = digest_bytes(b"one")
    model = ModelRef(project="digits", key=key, run_id="run-one", weights=key, dataset=versions[0])
    record_candidate(ledger, model)
    record_model_version(ledger, ModelVersionRef(model=model, version=4, accuracy=0.9))
    record_read(ledger, versions[0], "train", "digits.train_model/1")
    gone = ErasureReport(
        project="digits", images=(digest_bytes(b"gone"),), reason="request 17", requested_by="admin", versions=(1,),
        version=2, files=(), models=(), sources=(), summary="1 image erased",
    )  # fmt: skip
    record_erasure(ledger, gone)
    history = History(project, store, ledger, rows, versions)
    history.release("seen by eye")
    return history
