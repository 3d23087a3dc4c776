import pytest

from include.contracts import ReleaseRef, ReplicaReport, RolloutRef, StrategyDecision
from include.errors import ArtifactNotFoundError, ContractViolationError, ParityError, RolloutFailedError
from include.ledger.audit import verify_chain
from include.ledger.episodes import find_unclosed_episode, open_episode
from include.ledger.plans import find_plan, record_replica
from include.ledger.releases import record_release
from include.ledger.rollouts import complete_rollout
from include.settings import load_settings
from tests.plugins.samples import DAY, DRIFT, PROMOTED, RELEASE, ROLLOUT, STRATEGY, VERSION, digest
from tests.plugins.task_runs import NOW, make_event, make_run, run_task
from tests.rollouts import find_champion, serve
from windhover.assets import ProjectAssets

CERTIFIED_MODEL = ProjectAssets("digits").certified_model
EVENT = make_event(CERTIFIED_MODEL, VERSION.model_dump(mode="json"))
CARD = {"_link_model_card": "/windhover/reports/digits/reports/model_card/3/x"}
ROLLOUTS = {"_link_rollouts": "/windhover/rollouts/digits"}
LINKS = {"_link_endpoint": "http://serving.example", **ROLLOUTS}
NOTES = {"_link_release_notes": "/windhover/reports/digits/reports/release_notes/1/index.html"}
OLD = RELEASE.model_copy(
    update={
        "digest": digest("2"), "address": "digits/releases/2", "model": VERSION.model_copy(update={"version": 2}),
    }
)  # fmt: skip


@pytest.fixture
def dag(load_dag, machine, tracking, stages):
    stages.replace(
        "include.registry.model_card.card_address", lambda version: f"digits/reports/model_card/{version.version}/x"
    )
    return load_dag("deploy_model")


def test_packages_the_version_that_started_the_run(dag, api_server, stages, project):
    calls = stages.replace("include.deployment.package.package_model", RELEASE)

    outcome = run_task(api_server, dag, "package_model", make_run(dag.dag_id, consumed_asset_events=[EVENT]))

    assert (calls[0]["version"], calls[0]["project"]) == (VERSION, project)
    assert ReleaseRef.model_validate(api_server.returned["package_model"]) == RELEASE
    assert outcome.links == CARD


def test_a_release_that_answers_differently_is_final_and_links_the_card(dag, api_server, stages):
    stages.replace("include.deployment.package.package_model", ParityError("differs by 0.1"))
    outcome = run_task(api_server, dag, "package_model", make_run(dag.dag_id, consumed_asset_events=[EVENT]))
    assert outcome.state == "failed"
    assert outcome.links == CARD


def test_nothing_certified_yet_says_what_to_run(dag, api_server, stages):
    stages.replace("include.deployment.package.package_model", RELEASE)
    outcome = run_task(api_server, dag, "package_model", make_run(dag.dag_id, "manual"))
    assert outcome.state == "failed"
    assert isinstance(outcome.error, ArtifactNotFoundError)
    assert "promote_model" in str(outcome.error)


@pytest.mark.parametrize(("conf", "asked"), [({}, "recommended"), ({"strategy": "shadow"}, "shadow")])
def test_the_form_may_ask_for_a_strategy(dag, api_server, stages, conf, asked):
    api_server.returned["package_model"] = RELEASE.model_dump(mode="json")
    read = stages.replace("include.deployment.recommend.read_facts", "facts")
    calls = stages.replace("include.deployment.recommend.recommend_strategy", STRATEGY)

    outcome = run_task(api_server, dag, "choose_strategy", make_run(dag.dag_id, "manual", conf=conf))

    assert read[0]["release"] == RELEASE
    assert (calls[0]["facts"], calls[0]["asked"]) == ("facts", asked)
    assert StrategyDecision.model_validate(api_server.returned["choose_strategy"]) == STRATEGY
    assert outcome.links == ROLLOUTS


@pytest.fixture
def notes(stages):
    """Have release notes written that nobody reads; give what they were asked with."""
    return stages.replace("include.deployment.notes.write_release_notes", "digits/reports/release_notes/1/index.html")


@pytest.fixture
def roll_out(dag, api_server, ledger_connection, notes):
    """Give a function that runs roll_out in a run of its own."""
    api_server.returned["choose_strategy"] = STRATEGY.model_dump(mode="json")

    def run(release, run_type="asset_triggered"):
        record_release(ledger_connection, release)
        api_server.returned["package_model"] = release.model_dump(mode="json")
        outcome = run_task(api_server, dag, "roll_out", make_run(dag.dag_id, run_type))
        assert (outcome.state, outcome.links) == ("success", ROLLOUTS)
        return RolloutRef.model_validate(api_server.returned["roll_out"])

    return run


def test_rolling_out_twice_in_one_run_is_one_rollout(roll_out, ledger_connection):
    first = roll_out(RELEASE)
    assert find_champion(ledger_connection) == RELEASE
    assert roll_out(RELEASE) == first


def test_what_serves_answers_on_until_the_release_proved_itself(roll_out, ledger_connection):
    serve(ledger_connection, _record(ledger_connection, OLD))
    rollout = roll_out(RELEASE)
    plan = find_plan(ledger_connection, "digits")
    assert (rollout.strategy, plan.champion, plan.candidate, plan.weight) == ("canary", OLD, RELEASE, 0)


def test_a_freeze_refuses_it_for_good(dag, api_server, stages, ledger_connection):
    stages.replace("include.deployment.rollout.start", RolloutFailedError("no rollout begins before Monday"))
    api_server.returned |= {
        "package_model": RELEASE.model_dump(mode="json"),
        "choose_strategy": STRATEGY.model_dump(mode="json"),
    }
    outcome = run_task(api_server, dag, "roll_out")
    assert (outcome.state, outcome.links) == ("failed", ROLLOUTS)
    assert "roll_out" not in api_server.returned


def test_a_rollout_that_proved_itself_crowns_the_champion_and_ends_the_episode(
    dag, api_server, stages, roll_out, ledger_connection
):
    calls = stages.replace("include.registry.aliases.crown_champion", None)
    open_episode(ledger_connection, DRIFT)
    verdict = PROMOTED.model_copy(update={"rollout": roll_out(RELEASE)})
    api_server.returned["judge_rollout"] = verdict.model_dump(mode="json")

    outcome = run_task(api_server, dag, "complete_rollout", make_run(dag.dag_id, partition_key=DAY))

    assert calls[0]["version"] == VERSION
    assert find_unclosed_episode(ledger_connection, "digits") is None
    [event] = outcome.announced
    assert (event["dest_asset_key"]["name"], event["partition_key"]) == ("digits.serving_model", DAY)
    assert ReleaseRef.model_validate(event["extra"]) == RELEASE
    assert outcome.links == LINKS


def test_release_notes_are_one_click_away(dag, api_server, notes, machine):
    api_server.returned["roll_out"] = ROLLOUT.model_dump(mode="json")
    outcome = run_task(api_server, dag, "write_release_notes")
    assert notes[0]["rollout"] == ROLLOUT
    assert outcome.links == NOTES


def test_rolling_back_returns_to_what_answered_before(dag, api_server, roll_out, ledger_connection, notes):
    roll_out(OLD)
    complete_rollout(ledger_connection, roll_out(RELEASE, "manual"))
    assert find_champion(ledger_connection) == RELEASE

    outcome = run_task(api_server, dag, "roll_back", make_run(dag.dag_id, "manual"))

    assert outcome.state == "success"
    assert find_champion(ledger_connection) == OLD
    assert outcome.links == {**LINKS, **NOTES}
    assert len(notes) == 1


@pytest.mark.parametrize("completed", [True, False])
def test_what_a_person_takes_back_is_on_the_audit_chain(dag, api_server, roll_out, ledger_connection, completed):
    rollout = roll_out(RELEASE)
    if completed:
        complete_rollout(ledger_connection, rollout)
    outcome = run_task(api_server, dag, "roll_back", make_run(dag.dag_id, note="ada: calls 3 an 8"))
    assert outcome.state == "success"
    (entry,), sealed = verify_chain(ledger_connection, "digits", load_settings().open_store())
    run = f"{dag.dag_id}/{make_run(dag.dag_id).run_id}"
    assert (entry.kind, entry.who, entry.why, sealed) == ("override", run, "ada: calls 3 an 8", 1)


def test_a_run_that_failed_before_its_rollout_rolls_nothing_back(dag, api_server, stages):
    # The trigger rule counts `upstream_failed`: roll_back starts also when package_model failed.
    calls = stages.replace("include.deployment.rollout.roll_back", None)
    outcome = run_task(api_server, dag, "roll_back")
    assert outcome.state == "skipped"
    assert calls == []


def test_an_unreadable_rollout_is_not_tried_again(dag, api_server):
    api_server.returned["roll_out"] = ROLLOUT.model_dump(mode="json") | {"id": "first"}
    assert run_task(api_server, dag, "roll_back").state == "failed"


def _record(ledger, release):
    record_release(ledger, release)
    return release


@pytest.fixture
def switch(load_dag, machine, api_server, ledger_connection):
    """Give a function that switches, while one serving process follows every plan up to revision 100."""
    serve(ledger_connection, _record(ledger_connection, OLD), "first")
    serve(ledger_connection, _record(ledger_connection, RELEASE), "second")
    replica = ReplicaReport(
        name="serving-1", address="unix:1", started_at=NOW, revisions={"digits": 100}, held={}, rejected={},
        source="ledger",
    )  # fmt: skip
    dag = load_dag("switch_release")

    def run(to, reason="calls 3 an 8"):
        record_replica(ledger_connection, replica)
        conf = {"to": to, "reason": reason}
        return run_task(
            api_server, dag, "switch_release", make_run(dag.dag_id, "manual", conf=conf, triggering_user_name="ada")
        )

    return run


def test_going_back_is_announced_and_on_the_audit_chain_with_the_name(switch, ledger_connection):
    outcome = switch("previous")
    assert (outcome.state, outcome.links) == ("success", LINKS)
    assert find_champion(ledger_connection) == OLD
    assert [ReleaseRef.model_validate(event["extra"]) for event in outcome.announced] == [OLD]
    (entry,), sealed = verify_chain(ledger_connection, "digits", load_settings().open_store())
    assert (entry.kind, entry.who, entry.why, sealed) == ("override", "ada", "calls 3 an 8", 1)


def test_forward_again_in_another_run(switch, api_server, ledger_connection):
    switch("previous")
    api_server.kept.clear()
    assert switch("next").state == "success"
    assert find_champion(ledger_connection) == RELEASE


def test_a_number_names_a_version(switch, ledger_connection):
    assert switch("2").state == "success"
    assert find_champion(ledger_connection) == OLD


def test_running_it_again_goes_no_further_back(switch, ledger_connection):
    switch("previous")
    before = find_plan(ledger_connection, "digits")
    assert switch("previous").state == "success"
    assert find_plan(ledger_connection, "digits") == before


def test_killed_after_the_switch_it_says_so_and_goes_no_further_back(switch, api_server, ledger_connection):
    switch("previous")
    del api_server.kept["switched"]
    outcome = switch("previous")
    assert outcome.state == "failed"
    assert isinstance(outcome.error, ContractViolationError)
    assert "may have switched already" in str(outcome.error)
    assert find_champion(ledger_connection) == OLD


def test_a_version_that_never_answered_is_refused_in_a_sentence(switch, ledger_connection):
    outcome = switch("9")
    assert outcome.state == "failed"
    assert isinstance(outcome.error, ArtifactNotFoundError)
    assert "version 9" in str(outcome.error)
    assert find_champion(ledger_connection) == RELEASE


def test_nothing_in_service_says_what_to_run(load_dag, machine, api_server, ledger_connection):
    conf = {"to": "previous", "reason": "x"}
    run = make_run("digits.switch_release", "manual", conf=conf)
    outcome = run_task(api_server, load_dag("switch_release"), "switch_release", run)
    assert outcome.state == "failed"
    assert "deploy_model" in str(outcome.error)


@pytest.mark.parametrize("conf", [{"to": "champion", "reason": "x"}, {"to": "0", "reason": "x"}, {"to": "previous"}])
def test_a_form_that_makes_no_sense_is_refused(load_dag, machine, api_server, conf):
    run = make_run("digits.switch_release", "manual", conf=conf)
    with pytest.raises(ValueError, match=r"(?i)param"):
        run_task(api_server, load_dag("switch_release"), "switch_release", run)
