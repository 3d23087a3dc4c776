"""A short race finds nothing; a long one a person asks of the script."""

import numpy as np

from benchmarks.registration_race import deal, main


def test_registrations_killed_in_the_middle_and_racing_promotions_keep_to_every_limit(ledger, ledger_uri, mlflow_uri):
    sizes = ["--processes", "3", "--registrations", "7", "--promotions", "30"]
    findings = main([*sizes, "--ledger", ledger_uri, "--mlflow", mlflow_uri])
    assert [one for found in findings.values() for one in found if not one.kept] == []
    found = {one.name: one.found for one in findings["registrations"]}
    assert (found["registrations"], found["attempts ended by kill -9"]) == (21, 1)


def test_every_key_is_dealt_and_a_quarter_of_the_registrations_repeat_one():
    keys, tasks = deal(8, 200, np.random.default_rng(5))
    asked = [key for task in tasks for key in task.keys]
    assert (keys, len(asked), set(asked)) == (1200, 1600, set(range(1200)))
    assert sum(len(task.deadly) for task in tasks) == 80
