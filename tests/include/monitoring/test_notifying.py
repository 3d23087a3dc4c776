import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from include.ledger import Ledger
from include.ledger.changes import PLATFORM
from include.ledger.incidents import (
    acknowledge_incident,
    escalate_incident,
    open_incident,
    resolve_incident,
    resolve_key,
)
from include.monitoring.channels import Channel, open_channels
from include.monitoring.notice_file import locate_file
from include.monitoring.notifying import Told, deliver_due, queue_incidents
from include.project import NotifyPolicy, SilenceWindow
from include.settings import REPOSITORY
from tests.include.outbox import find_notification

SENDER = """
import os, sys
from datetime import UTC, datetime
from include.ledger import Ledger
from include.monitoring.channels import open_channels
from include.monitoring.notifying import Told, deliver_due, queue_incidents
ledger, (channel,) = Ledger(sys.argv[1]), open_channels(sys.argv[2])
def send(*told):
    if sys.argv[3] == "after": channel.send(*told)
    os.kill(os.getpid(), 9)
queue_incidents(ledger, {}, Told(), datetime.now(UTC))
deliver_due(ledger, lambda: [channel._replace(send=send)], {}, datetime.now(UTC))
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "notices.ndjson"


class Teller:
    """Looks as a watcher does, with a clock of its own."""

    def __init__(self, ledger: Ledger, file: Path, policy: NotifyPolicy) -> None:
        self.ledger, self.file, self.policies = ledger, file, {"digits": policy}
        self.told = Told()
        self.now = datetime.now(UTC)
        self.airflow = ""

    def look(self, channels: list[Channel] | None = None, minutes: float = 0) -> None:
        self.now = max(self.now, datetime.now(UTC)) + timedelta(minutes=minutes)
        queue_incidents(self.ledger, self.policies, self.told, self.now, self.airflow)
        opened = open_channels(locate_file(self.file)) if channels is None else channels
        deliver_due(self.ledger, lambda: opened, self.policies, self.now)

    @property
    def titles(self) -> list[str]:
        return [line["title"] for line in self.lines]

    @property
    def lines(self) -> list[dict[str, str]]:
        return [json.loads(line) for line in self.file.read_text().splitlines()] if self.file.exists() else []


@pytest.fixture
def teller(ledger: Ledger, file: Path) -> Teller:
    return Teller(ledger, file, NotifyPolicy())


def trouble(ledger: Ledger, key: str = "slo/latency", urgency: str = "high", project: str = "digits", **changed) -> int:
    told = {"kind": "slo_burn", "title": f"{key} is bad", "impact": "medium", "runbook": "docs/runbook.md#error-budget"}
    return open_incident(ledger, project, key=key, urgency=urgency, owner="anna", **{**told, **changed})


def test_an_incident_is_told_once_with_all_that_helps(ledger, teller):
    trouble(ledger, evidence={"summary": "9 of 10 in time"})
    for _ in range(3):
        trouble(ledger, evidence={"summary": "9 of 10 in time"})
        teller.look()
    (line,) = teller.lines
    assert line["title"] == "[major] digits: slo/latency is bad"
    helps = ("9 of 10 in time", "severity: major", "owner: anna", "runbook: docs/runbook.md#error-budget\n", "/1/major")
    assert [part for part in helps if part not in line["body"]] == []


def test_a_new_watcher_tells_nothing_again(ledger, teller, file):
    trouble(ledger)
    teller.look()
    Teller(ledger, file, NotifyPolicy()).look()
    assert len(teller.lines) == 1


def test_its_end_is_told_to_those_who_heard_of_it(ledger, teller):
    trouble(ledger)
    teller.look()
    resolve_incident(ledger, 1, who="anna", why="restarted")
    teller.look()
    teller.look()
    assert teller.titles == ["[major] digits: slo/latency is bad", "[resolved] digits: slo/latency is bad"]
    assert "by anna" in teller.lines[1]["body"]


def listen(heard: list[str], name: str = "mail", tags: tuple[str, ...] = (), *, broken: bool = False) -> Channel:
    """A channel that keeps the titles that it took."""
    return Channel(name, frozenset(tags), lambda title, *_: not broken and not heard.append(title))


def test_its_end_is_told_where_its_beginning_was_though_another_channel_fails(ledger, teller):
    mail, chat = [], []
    trouble(ledger)
    teller.look([listen(mail), listen(chat, "chat", broken=True)])
    resolve_incident(ledger, 1, who="anna", why="restarted")
    teller.look([listen(mail), listen(chat, "chat", broken=True)], minutes=1)
    teller.look([listen(mail), listen(chat, "chat")], minutes=100)
    assert mail == ["[major] digits: slo/latency is bad", "[resolved] digits: slo/latency is bad"]
    assert chat == [], "it never heard that there was anything"
    outcomes = [find_notification(ledger, f"incident/1/{step}").outcome for step in ("major", "resolved")]
    assert outcomes == ["it had ended before all were told", "told"]


def test_its_end_is_told_to_whom_it_was_told_before_it_was_handed_on(ledger, teller):
    anna, boss, other = [], [], []
    channels = [listen(anna, "1", ("anna",)), listen(boss, "2", ("boss",)), listen(other, "3", ("other",))]
    trouble(ledger)
    teller.look(channels)
    escalate_incident(ledger, 1, 0, to="boss", why="nobody answered", who="watcher")
    teller.look(channels)
    resolve_incident(ledger, 1, who="boss", why="restarted")
    teller.look(channels)
    assert [[title.split("]")[0] for title in heard] for heard in (anna, boss, other)] == [
        ["[major", "[resolved"], ["[major", "[resolved"], []
    ]  # fmt: skip


def test_its_end_is_told_to_a_channel_whose_password_was_changed(ledger, teller):
    heard = []
    trouble(ledger)
    teller.look([listen(heard, "old")])
    resolve_incident(ledger, 1, who="anna", why="restarted")
    teller.look([listen(heard, "new")])
    assert len(heard) == 2


@pytest.mark.parametrize(("project", "page"), [("digits", "overview/digits"), (PLATFORM, "overview")])
def test_where_airflow_is_known_the_runbook_and_the_page_can_be_opened(ledger, teller, project, page):
    teller.airflow = "https://airflow.example"
    trouble(ledger, project=project)
    teller.look()
    assert teller.lines[0]["body"].splitlines()[-3:] == [
        "runbook: https://airflow.example/windhover/docs/runbook.md#error-budget",
        f"page: https://airflow.example/windhover/{page}",
        "reference: incident/1/major",
    ]


def test_what_ended_before_it_was_told_is_not_told(ledger, teller):
    trouble(ledger)
    queue_incidents(ledger, {}, Told(), teller.now)
    resolve_incident(ledger, 1, who="anna", why="restarted")
    teller.look()
    assert teller.lines == []


def test_what_grows_worse_and_what_is_handed_on_is_news(ledger, teller):
    trouble(ledger, urgency="medium")
    teller.look()
    trouble(ledger, urgency="high")
    teller.look()
    escalate_incident(ledger, 1, 0, to="boss", why="nobody answered", who="watcher")
    teller.look()
    assert [title.split("]")[0] for title in teller.titles] == ["[minor", "[major", "[major"]
    assert "owner: boss, step 1 of its path" in teller.lines[2]["body"]


def test_the_less_severe_is_not_told(ledger, teller):
    teller.policies["digits"] = NotifyPolicy(least="major")
    trouble(ledger, urgency="low")
    teller.look()
    trouble(ledger, "other", urgency="high")
    teller.look()
    assert teller.titles == ["[major] digits: other is bad"]


def test_a_trouble_that_comes_and_goes_is_told_again_only_after_a_while(ledger, teller):
    for _ in range(3):
        trouble(ledger)
        teller.look()
        resolve_key(ledger, "digits", "slo/latency", who="watcher", why="back")
    trouble(ledger)
    teller.look()
    assert len([title for title in teller.titles if title.startswith("[major")]) == 1
    teller.look(minutes=31)
    assert len([title for title in teller.titles if title.startswith("[major")]) == 2


def test_a_silence_holds_back_all_but_the_worst(ledger, teller):
    silence = SilenceWindow(start="00:00", end="00:00", reason="maintenance")
    teller.policies["digits"] = NotifyPolicy(silences=(silence,))
    trouble(ledger)
    trouble(ledger, "worst", impact="high")
    teller.look()
    assert teller.titles == ["[critical] digits: worst is bad"]
    held = find_notification(ledger, "incident/1/major")
    assert held.due_at == silence.find_end(teller.now)
    teller.policies["digits"] = NotifyPolicy()
    teller.look(minutes=24 * 60)
    assert len(teller.lines) == 2


def test_a_channel_with_a_tag_hears_only_what_is_its_own(ledger, teller, file):
    paths = {tag: file.with_name(tag) for tag in ("night", "anna", "other")}
    channels = open_channels("\n".join(f"{tag}={locate_file(path)}" for tag, path in paths.items()))
    teller.policies["digits"] = NotifyPolicy(tags=("night",))
    trouble(ledger)
    teller.look(channels)
    assert {tag for tag, path in paths.items() if path.exists()} == {"night", "anna"}


def test_a_channel_that_fails_is_tried_again_and_no_other_hears_twice(ledger, teller):
    heard: dict[str, list[str]] = {"good": [], "bad": []}
    broken = [True]

    def fail(title: str, *_: str) -> bool:
        heard["bad"].append(title)
        if broken[0]:
            raise ConnectionError("no network")
        return True

    channels = [
        Channel("bad", frozenset(), fail),
        Channel("good", frozenset(), lambda title, *_: not heard["good"].append(title)),
    ]
    trouble(ledger)
    teller.look(channels)
    teller.look(channels)
    assert (len(heard["bad"]), len(heard["good"])) == (1, 1)
    teller.look(channels, minutes=2)
    broken[0] = False
    teller.look(channels, minutes=10)
    teller.look(channels, minutes=100)
    assert (len(heard["bad"]), len(heard["good"])) == (3, 1)
    assert find_notification(ledger, "incident/1/major").outcome == "told"


def test_what_no_channel_takes_for_a_day_is_given_up(ledger, teller):
    trouble(ledger)
    dead = [Channel("dead", frozenset(), lambda *_: False)]
    teller.look(dead)
    teller.look(dead, minutes=25 * 60)
    assert find_notification(ledger, "incident/1/major").outcome == "given up: 0 of 1 channels took it"


def test_an_acknowledged_incident_is_still_told_once(ledger, teller):
    trouble(ledger)
    acknowledge_incident(ledger, 1, who="anna")
    teller.look()
    teller.look()
    assert len(teller.lines) == 1


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_kill_while_sending_neither_loses_nor_doubles(ledger, ledger_uri, teller, file, moment):
    trouble(ledger)
    command = [sys.executable, "-c", SENDER, ledger_uri, locate_file(file), moment]
    assert subprocess.run(command, cwd=REPOSITORY, check=False).returncode == -9
    assert len(teller.lines) == (moment == "after")
    teller.look(minutes=1)
    assert len(teller.lines) == 1
