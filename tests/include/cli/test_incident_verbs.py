import json
import re

import pytest
from typer.testing import CliRunner

from include.cli.verbs import app
from include.ledger.audit import verify_chain
from include.ledger.incidents import open_incident
from include.settings import load_settings


@pytest.fixture
def invoke(machine, ledger):
    """Call a verb about incidents."""
    return lambda *words: CliRunner().invoke(
        app, ["incidents", *re.split(" ", words[0]), "--project", machine.project, *map(str, words[1:])]
    )


@pytest.fixture
def read(invoke):
    """Call one that succeeds, and read its report."""

    def ask(*words):
        ended = invoke(*words, "--json")
        assert ended.exit_code == 0, ended.stderr
        return json.loads(ended.stdout)

    return ask


def test_an_incident_from_its_opening_to_its_lesson(read, machine, ledger):
    told = ["--title", "users complain", "--impact", "high", "--urgency", "high", "--by", "ana"]
    opened = read("open", *told)
    number = opened["id"]
    assert (opened["severity"], opened["state"], opened["kind"]) == ("critical", "open", "manual")
    assert read("open", *told)["id"] == number
    assert [(one["id"], one["seen"]) for one in read("list")["incidents"]] == [(number, 2)]

    assert read("acknowledge", number, "--by", "ben")["acknowledged_by"] == "ben"
    assert read("note", number, "--what", "looking", "--by", "ben")["timeline"][-1]["what"] == "looking"
    (action,) = read("action add", number, "--what", "more", "--owner", "ben", "--due", "2026-12-01", "--by", "ana")[
        "actions"
    ]
    assert (action["due"], action["done_at"]) == ("2026-12-01T00:00:00Z", None)
    assert read("action done", number, action["id"], "--by", "ben")["actions"][0]["done_at"]
    ended = read("resolve", number, "--reason", "taken back", "--lesson", "canaries first", "--by", "ben")
    assert (ended["state"], ended["resolved_by"]) == ("resolved", "ben")
    store = load_settings().open_store()
    assert b"canaries first" in store.read(ended["post_mortem"])
    assert read("post-mortem", number)["post_mortem"] == ended["post_mortem"]

    listed = read("list")
    assert listed["incidents"] == []
    assert listed["minutes_to_resolve"] >= listed["minutes_to_acknowledge"] >= 0
    assert [one["id"] for one in read("list", "--all")["incidents"]] == [number]
    assert [one["lesson"] for one in read("lessons")["lessons"]] == ["canaries first"]
    chain, sealed = verify_chain(ledger, machine.project, store)
    assert {entry.kind for entry in chain} == {"incident"}
    assert sealed == len(chain)


def test_bad_input_is_one_line(invoke, ledger, machine):
    told = {"kind": "manual", "key": "k", "title": "t", "impact": "low", "urgency": "low", "runbook": "r"}
    other = open_incident(ledger, "another", **told)
    mine = open_incident(ledger, machine.project, **told)
    for words, said in (
        (["show", 99], "no incident 99"),
        (["show", other], f"incident {other} is one of another"),
        (["resolve", other, "--reason", "x", "--by", "ana"], f"incident {other} is one of another"),
        (["open", "--title", "x", "--impact", "huge", "--by", "ana"], "no incident"),
        (["open", "--title", "", "--by", "ana"], "no incident"),
        (["note", mine, "--what", " ", "--by", "ana"], "no line for a timeline"),
        (["action done", mine, 1, "--by", "ana"], f"incident {mine} has no corrective action 1"),
    ):
        ended = invoke(*words)
        assert (ended.exit_code, ended.stdout) == (2, ""), words
        assert said in ended.stderr
        assert len(ended.stderr.strip().splitlines()) == 1


def test_those_of_the_platform_are_everybodys(read, ledger):
    told = {"kind": "dead_service", "key": "k", "title": "MLflow is dead", "impact": "low", "urgency": "low"}
    number = open_incident(ledger, "platform", runbook="r", **told)
    assert [(one["id"], one["project"]) for one in read("list")["incidents"]] == [(number, "platform")]
    assert read("resolve", number, "--reason", "restarted", "--by", "ana")["state"] == "resolved"
    assert verify_chain(ledger, "platform", load_settings().open_store())[1] == 2
