import json

from include.cli.rollouts import deploy_release


def test_the_verbs_say_what_answers_and_how_it_came(serving, workplace, make, invoke, machine):
    first, second = make(1), make(2)
    deploy_release(workplace(), first)
    deploy_release(workplace(), second, "direct")
    back = invoke("rollback", "--reason", "calls 3 an 8", "--json")
    assert json.loads(back.stdout)["digest"] == first.digest
    told = json.loads(invoke("rollouts", "--json").stdout)
    assert told["plan"]["champion"]["digest"] == first.digest
    assert [(one["version"], one["strategy"], one["state"]) for one in told["rollouts"]] == [
        (2, "direct", "completed"),
        (1, "direct", "completed"),
    ]
    assert [replica["rejected"] for replica in told["replicas"]] == [{}]
    assert invoke("roll-forward").exit_code == 2
    forward = invoke("roll-forward", "--reason", "the 8 was an 8", "--json")
    assert json.loads(forward.stdout)["digest"] == second.digest
    assert invoke("rollback", "--to", "9").exit_code == 2
