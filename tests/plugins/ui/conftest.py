"""Airflow's web server with our pages, and somebody who is signed in."""

import pytest
from airflow.api_fastapi.app import create_auth_manager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from airflow.plugins_manager import get_fastapi_plugins
from fastapi import FastAPI
from fastapi.testclient import TestClient

from include.storage import Store


@pytest.fixture
def anonymous(machine, monkeypatch) -> TestClient:
    """A browser that is not signed in."""
    # The list of revoked tokens is in Airflow's database, which these tests do without.
    monkeypatch.setattr("airflow.models.revoked_token.RevokedToken.is_revoked", lambda _: False)
    create_auth_manager()
    server = FastAPI()
    for app in get_fastapi_plugins()[0]:
        server.mount(app["url_prefix"], app["app"])
    return TestClient(server, raise_server_exceptions=False)


@pytest.fixture
def browser(anonymous) -> TestClient:
    """A browser with the session of a viewer."""
    token = create_auth_manager().generate_jwt(SimpleAuthManagerUser(username="viewer", role="viewer"))
    anonymous.cookies.set("_token", token)
    return anonymous


@pytest.fixture
def machine_store(machine) -> Store:
    """The store of the machine the web server runs on."""
    return Store(str(machine / "store"))
