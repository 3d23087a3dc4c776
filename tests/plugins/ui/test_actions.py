import re
from datetime import UTC, datetime, timedelta

import pytest
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

from include.ledger.audit import verify_chain
from include.ledger.changes import PLATFORM
from include.ledger.corrective_actions import add_action, find_action
from include.ledger.incidents import find_incident, list_incidents, open_incident
from tests.plugins.ui.busy_project import raise_troubles
from tests.plugins.ui.conftest import sign_in
from tests.plugins.ui.played_airflow import RUN
from windhover.ui.rights import sign_form

PAGE = "/windhover/overview/digits"
SWITCH = {"to": "previous", "reason": "calls 3 an 8"}
DEEDS = {
    "switches": SWITCH,
    "retirements": {"version": "1", "reason": "a toy"},
    "answers": {
        "dag": "digits.promote_model", "run": RUN, "task": "approve_promotion", "index": "-1", "option": "Approve",
        "field.reason": "looks right",
    },
    "actions": {"action": "ignore", "reason": "the camera is being replaced"},
    "incidents": {"title": "a strange noise", "impact": "low", "urgency": "high"},
    "corrective-actions": {"incident": "1", "what": "a hood for the lens", "owner": "bea", "due": "2026-12-01"},
    "corrective-actions/1/completions": {},
    "incidents/1/acknowledgements": {},
    "incidents/1/resolutions": {"reason": "the lens was wiped", "lesson": "wipe it weekly"},
}  # fmt: skip


@pytest.fixture
def troubled(ledger_connection):
    """The ledger of a project with three incidents."""
    raise_troubles(ledger_connection)
    return ledger_connection


@pytest.fixture
def send(operator, troubled):
    """Give a function that sends a form of the operator's own page."""

    def post(deed, **changes):
        form = DEEDS.get(deed, {}) | {"token": sign_form(SimpleAuthManagerUser(username="user", role="user"))}
        return operator.post(f"{PAGE}/{deed}", data=form | changes)

    return post


def test_a_form_of_the_page_is_taken_as_it_stands(operator, troubled):
    [action] = re.findall(r'action="([^"]+/acknowledgements)"', operator.get(PAGE).text)
    [token] = set(re.findall(r'name="token" value="([^"]+)"', operator.get(PAGE).text))
    assert operator.post(action, data={"token": token}).status_code == 303
    assert find_incident(troubled, 1).acknowledged_by == "user"


@pytest.mark.parametrize(
    ("deed", "path", "body"),
    [
        pytest.param(
            "switches", "/dags/digits.switch_release/dagRuns",
            {"logical_date": None, "conf": SWITCH, "note": "user: calls 3 an 8"}, id="switch",
        ),
        pytest.param(
            "retirements", "/dags/digits.retire_model/dagRuns",
            {"logical_date": None, "conf": {"version": 1, "reason": "a toy"}, "note": "user: a toy"}, id="retire",
        ),
        pytest.param(
            "actions", "/dags/digits.monitor_model/dagRuns",
            {"logical_date": None, "conf": DEEDS["actions"], "note": "user: the camera is being replaced"}, id="choose",
        ),
        pytest.param(
            "answers", f"/dags/digits.promote_model/dagRuns/{RUN}/taskInstances/approve_promotion/-1/hitlDetails",
            {"chosen_options": ["Approve"], "params_input": {"reason": "looks right"}}, id="answer",
        ),
    ],
)  # fmt: skip
def test_airflow_is_asked_in_the_name_of_the_person(send, airflow, deed, path, body):
    answer = send(deed)
    assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (303, PAGE)
    assert [(who, where, what) for who, _, where, what in airflow.deeds] == [("user", path, body)]


def test_a_dag_that_is_paused_would_leave_people_waiting(send, airflow):
    airflow.paused = {"digits.switch_release", "digits.train_model"}
    assert send("switches").status_code == 303
    assert airflow.paused == {"digits.train_model"}


def test_an_incident_is_opened_taken_on_and_resolved_in_the_name_of_the_person(send, troubled):
    assert send("incidents").headers["location"] == f"{PAGE}?done=opened"
    assert send("incidents/1/acknowledgements").headers["location"] == f"{PAGE}?done=acknowledged"
    assert find_incident(troubled, 1).acknowledged_by == "user"
    assert send("incidents/1/resolutions").headers["location"] == f"{PAGE}?done=resolved"
    resolved, opened = find_incident(troubled, 1), list_incidents(troubled, "digits", 1)[0]
    assert (resolved.state, resolved.resolved_by, resolved.lesson) == ("resolved", "user", "wipe it weekly")
    assert (opened.title, opened.kind, opened.impact, opened.urgency) == ("a strange noise", "manual", "low", "high")


def test_every_deed_in_the_ledger_is_on_the_audit_chain(send, troubled, machine_store):
    send("incidents")
    send("incidents/1/acknowledgements")
    send("incidents/1/resolutions")
    chain, _ = verify_chain(troubled, "digits", machine_store)
    assert [entry.kind for entry in chain if entry.who == "user"].count("incident") >= 3


def test_the_same_trouble_told_twice_by_hand_is_one_incident(send, troubled):
    before = len(list_incidents(troubled, "digits", 99))
    send("incidents")
    send("incidents")
    found = list_incidents(troubled, "digits", 99)
    assert len(found) == before + 1
    assert max(found, key=lambda one: one.id).seen == 2


def test_another_title_is_another_incident(send, troubled):
    before = len(list_incidents(troubled, "digits", 99))
    send("incidents")
    send("incidents", title="smoke in the hall")
    found = list_incidents(troubled, "digits", 99)
    assert len(found) == before + 2
    assert {(one.title, one.seen) for one in found} >= {("a strange noise", 1), ("smoke in the hall", 1)}


def test_a_corrective_action_is_added_and_done_in_the_name_of_the_person(send, operator, troubled, machine_store):
    send("incidents/1/resolutions")
    assert send("corrective-actions").headers["location"] == f"{PAGE}?done=noted"
    send("corrective-actions", what="wipe it weekly", due="")
    page = operator.get(PAGE).text
    assert page.count('/completions">') == 2
    assert 'bea, due <time datetime="2026-12-01">2026-12-01</time>, after #1' in page
    assert "overdue" not in page
    assert send("corrective-actions/1/completions").headers["location"] == f"{PAGE}?done=finished"
    assert send("corrective-actions/1/completions").status_code == 303
    assert operator.get(PAGE).text.count('/completions">') == 1
    (hood, wiped) = find_incident(troubled, 1).actions
    assert (hood.what, hood.owner, hood.done_at is not None) == ("a hood for the lens", "bea", True)
    assert (wiped.due, wiped.done_at) == (None, None)
    deeds = [one.payload["deed"] for one in verify_chain(troubled, "digits", machine_store)[0] if one.who == "user"]
    assert deeds.count("action") == 3


def test_what_is_overdue_is_marked_after_its_day(operator, troubled):
    now = datetime.now(UTC)
    add_action(troubled, 3, who="ada", what="today", owner="bea", due=now.replace(hour=0, minute=0))
    assert "overdue" not in operator.get(PAGE).text
    add_action(troubled, 3, who="ada", what="yesterday", owner="bea", due=now - timedelta(days=1))
    assert operator.get(PAGE).text.count("overdue") == 1


def test_a_corrective_action_of_another_project_is_not_touched(send, troubled):
    other = open_incident(
        troubled, "plankton", kind="manual", key="k", title="theirs", impact="low", urgency="low", runbook="docs/x.md"
    )
    action = add_action(troubled, other, who="ada", what="theirs too", owner="ada")
    assert send("corrective-actions", incident=str(other)).status_code == 404
    assert send(f"corrective-actions/{action}/completions").status_code == 404
    assert find_action(troubled, action).done_at is None


def test_a_viewer_may_do_nothing(send, operator, airflow, troubled):
    operator.cookies.set("_token", sign_in("viewer"))
    answers = {deed: send(deed) for deed in DEEDS}
    assert {deed: answer.status_code for deed, answer in answers.items()} == dict.fromkeys(DEEDS, 403)
    assert all("your role may not act on digits" in answer.text for answer in answers.values())
    _assert_untouched(airflow, troubled)


@pytest.mark.parametrize("token", ["", "nonsense", "9999999999.", "99999999999999999999.ab", "-1.ab", "1.é", "²³.ab"])
def test_a_form_of_another_site_does_nothing(send, airflow, troubled, token):
    assert {send(deed, token=token).status_code for deed in DEEDS} == {403}
    _assert_untouched(airflow, troubled)


def test_the_form_of_somebody_else_does_nothing(send, operator, airflow, troubled):
    operator.cookies.set("_token", sign_in("admin"))
    assert {send(deed).status_code for deed in DEEDS} == {403}
    _assert_untouched(airflow, troubled)


def test_anonymous_may_do_nothing(send, operator, airflow, troubled):
    operator.cookies.clear()
    assert {send(deed).status_code for deed in DEEDS} == {401}
    _assert_untouched(airflow, troubled)


def test_nonsense_is_refused_before_anything_happens(send, airflow, troubled):
    nonsense = [
        ("switches", {"to": "nowhere"}),
        ("switches", {"to": "0"}),
        ("switches", {"reason": " "}),
        ("switches", {"reason": "x" * 501}),
        ("retirements", {"version": "-1"}),
        ("retirements", {"reason": ""}),
        ("actions", {"action": "pray"}),
        ("incidents", {"impact": "enormous"}),
        ("incidents", {"title": "\t"}),
        ("incidents", {"title": "a\0b"}),
        ("corrective-actions", {"incident": "0"}),
        ("corrective-actions", {"what": " "}),
        ("corrective-actions", {"owner": ""}),
        ("corrective-actions", {"due": "soon"}),
        ("corrective-actions", {"due": "9999-12-31"}),
        ("incidents/1/resolutions", {"lesson": "\0"}),
        ("incidents/1/resolutions", {"reason": ""}),
        ("answers", {"index": "one"}),
        ("answers", {"option": ""}),
    ]
    answers = [(deed, changes, send(deed, **changes).status_code) for deed, changes in nonsense]
    assert [case for case in answers if case[2] != 422] == []
    _assert_untouched(airflow, troubled)


def test_a_task_of_another_project_is_not_answered(send, airflow, troubled):
    assert send("answers", dag="digits2.promote_model").status_code == 403
    assert send("answers", dag="../../digits2.promote_model").status_code == 403
    _assert_untouched(airflow, troubled)


def test_an_incident_of_another_project_is_not_touched(send, troubled):
    other = open_incident(
        troubled, "plankton", kind="manual", key="k", title="theirs", impact="low", urgency="low", runbook="docs/x.md"
    )
    assert send(f"incidents/{other}/acknowledgements").status_code == 404
    assert find_incident(troubled, other).state == "open"


def test_an_incident_of_the_platform_is_anybodys_who_acts_on_a_project(send, troubled):
    ours = open_incident(
        troubled, PLATFORM, kind="resource", key="k", title="disk", impact="low", urgency="low", runbook="docs/x.md"
    )
    assert send(f"incidents/{ours}/acknowledgements").status_code == 303
    assert find_incident(troubled, ours).acknowledged_by == "user"


def test_what_the_ledger_refuses_is_said_on_a_page(send):
    send("incidents/1/resolutions")
    answer = send("incidents/1/acknowledgements")
    assert answer.status_code == 409
    assert "It was not done" in answer.text
    assert "resolved by user" in answer.text


def test_an_incident_that_is_not_there_is_said(send):
    answer = send("incidents/99/acknowledgements")
    assert answer.status_code == 409
    assert "no incident 99" in answer.text


def test_what_airflow_refuses_is_said_on_a_page(send, airflow, monkeypatch):
    # Its roles are asked twice: here, and by Airflow itself.
    monkeypatch.setattr("tests.plugins.ui.played_airflow.may_act", lambda *_: False)
    answer = send("switches")
    assert answer.status_code == 403
    assert "Airflow answers 403: Forbidden" in answer.text
    assert airflow.deeds == []


def _assert_untouched(airflow, troubled):
    assert airflow.deeds == []
    assert [one.state for one in list_incidents(troubled, "digits", 9)] == ["resolved", "acknowledged", "open"]
    assert not any(one.actions for one in list_incidents(troubled, "digits", 9))
