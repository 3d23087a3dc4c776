import json

import pytest

from include.contracts import ModelVersionRef
from include.ledger.models import move_alias, record_model_version
from include.registry.bundles import check_bundle
from include.settings import load_settings

DAY = "2026-11-02"


@pytest.fixture
def read(invoke):
    """Call a verb that succeeds, and read its report."""

    def ask(*words):
        ended = invoke(*words, "--json")
        assert ended.exit_code == 0, ended.stderr
        return json.loads(ended.stdout)

    return ask


def sign(verb, reason="replaced"):
    return [verb, "--model", "1", "--reason", reason, "--by", "ana"]


@pytest.mark.timeout(300)
def test_a_version_is_held_retired_and_asked_again(machine, invoke, read, ledger, monkeypatch, mlflow_uri):
    monkeypatch.setenv("WINDHOVER_MLFLOW_URI", mlflow_uri)
    machine.deliver(DAY, images=300)
    for verb in (["ingest", "--day", DAY], ["train"], ["decide"], ["register"]):
        ended = invoke(*verb)
        assert ended.exit_code == 0, ended.stderr
    version = read("register")
    # Another one that is newer, so that the first may go.
    newer = ModelVersionRef.model_validate(version | {"version": 2})
    newer = newer.model_copy(update={"model": newer.model.model_copy(update={"key": newer.model.dataset.digest})})
    record_model_version(ledger, newer)
    move_alias(ledger, machine.project, "candidate", expected=1, version=2, reason="newer")

    assert read(*sign("hold", "claim 4711"))["held_by"] == "ana"
    ended = invoke(*sign("retire"))
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert "held by ana" in ended.stderr
    assert read(*sign("release-hold", "settled"))["reason"] == "claim 4711"
    store = load_settings().open_store()
    tombstone = read(*sign("retire"))
    assert (tombstone["retired_by"], tombstone["version"]) == ("ana", 1)
    answer = read("rescore", "--model", "1")
    assert (answer["bundle"], answer["identical"]) == (tombstone["bundle"], True)
    assert check_bundle(machine.project, 1, store).bundle == tombstone["bundle"]
    assert read("audit")["recent"][-1]["kind"] == "retirement"


@pytest.mark.parametrize("verb", ["retire", "hold", "release-hold"])
def test_an_unknown_version_is_bad_input(invoke, verb):
    ended = invoke(*sign(verb))
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert "version 1" in ended.stderr


def test_nothing_archived_is_bad_input(invoke):
    ended = invoke("rescore", "--model", "1")
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert "archive/1" in ended.stderr
