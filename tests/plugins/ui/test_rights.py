import time
from types import SimpleNamespace

import pytest
from airflow.api_fastapi.app import create_auth_manager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

from windhover.ui.rights import HOURS, is_own_form, may_act, may_look, sign_form

ADA, BEA = (SimpleNamespace(get_id=lambda name=name: name) for name in ("ada", "bea"))


@pytest.mark.parametrize(
    ("role", "looks", "acts"), [("viewer", True, False), ("user", True, True), ("admin", True, True)]
)
def test_the_roles_are_those_of_airflow(role, looks, acts):
    create_auth_manager()
    user = SimpleAuthManagerUser(username="ada", role=role)
    assert (may_look(user, "digits"), may_act(user, "digits")) == (looks, acts)


def test_a_form_is_its_users_own_for_some_hours(monkeypatch):
    token = sign_form(ADA)
    assert is_own_form(token, ADA)
    assert not is_own_form(token, BEA)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + (HOURS - 1) * 3600 - 1)
    assert is_own_form(token, ADA)
    monkeypatch.setattr(time, "time", lambda: now + HOURS * 3600 + 1)
    assert not is_own_form(token, ADA)


def test_a_form_drawn_anew_within_the_hour_is_the_same(monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 3600.0)
    token = sign_form(ADA)
    monkeypatch.setattr(time, "time", lambda: 7199.0)
    assert sign_form(ADA) == token


def test_the_end_of_a_form_cannot_be_put_off():
    expires, _, signature = sign_form(ADA).partition(".")
    assert not is_own_form(f"{int(expires) + 3600}.{signature}", ADA)
