import os
import subprocess
import sys

import pytest
from scipy.stats import binomtest

from include.contracts import DatasetRef, ModelRef, ModelVersionRef, RecordingPolicy, ReleasePlan, ReleaseRef
from include.serving.routing import choose_variant, digest_key, is_compared, is_kept
from include.settings import REPOSITORY

SHA = "sha256:" + "a" * 64
REQUESTS = [f"digits-{number:032x}" for number in range(20_000)]


def release(letter: str) -> ReleaseRef:
    digest = "sha256:" + letter * 64
    dataset = DatasetRef(project="digits", address="digits/images.lance", version=1, digest=SHA, images=1, labelled=1)
    model = ModelRef(project="digits", key=SHA, run_id="run", weights=SHA, dataset=dataset)
    version = ModelVersionRef(model=model, version=1, accuracy=0.9)
    return ReleaseRef(model=version, address="digits/releases/x", digest=digest, parity=0.0)


def plan(**values) -> ReleasePlan:
    whole = {"rollout": 7, "candidate": release("c"), **values}
    return ReleasePlan(project="digits", revision=1, champion=release("b"), **whole)


def candidates(some_plan: ReleasePlan, key: str | None = None) -> set[str]:
    return {request for request in REQUESTS if choose_variant(some_plan, request, key) == "candidate"}


@pytest.mark.parametrize("weight", [0.05, 0.25, 0.5])
def test_the_candidate_gets_its_share(weight):
    taken = len(candidates(plan(weight=weight)))
    assert binomtest(taken, len(REQUESTS), weight).pvalue > 1e-4


def test_nothing_and_everything_are_exact():
    assert candidates(plan(weight=0)) == set()
    assert candidates(plan(weight=1)) == set(REQUESTS)


def test_who_met_the_candidate_meets_it_at_every_larger_weight():
    small, large = (candidates(plan(weight=weight)) for weight in (0.05, 0.25))
    assert small < large


def test_another_rollout_draws_others():
    first, second = (candidates(plan(weight=0.5, rollout=rollout)) for rollout in (7, 8))
    both = len(first & second)
    assert binomtest(both, len(REQUESTS), 0.25).pvalue > 1e-4


def test_one_key_meets_one_release_where_the_plan_is_sticky():
    sticky = plan(weight=0.5, sticky=True)
    keys = [f"customer {number}" for number in range(2000)]
    turns = {key: {choose_variant(sticky, request, key) for request in REQUESTS[:5]} for key in keys}
    assert all(len(met) == 1 for met in turns.values())
    taken = sum(met == {"candidate"} for met in turns.values())
    assert binomtest(taken, len(keys), 0.5).pvalue > 1e-4


def test_without_a_sticky_plan_a_key_plays_no_part_so_that_requests_stay_independent():
    assert candidates(plan(weight=0.5), key="one") == candidates(plan(weight=0.5), key=None)


def test_every_process_draws_the_same():
    script = (
        "import sys; from include.contracts import ReleasePlan; from include.serving.routing import choose_variant;"
        "plan = ReleasePlan.model_validate_json(sys.argv[1]);"
        "print(*(choose_variant(plan, f'digits-{n:032x}', None) for n in range(50)))"
    )
    half = plan(weight=0.5)
    command = [sys.executable, "-c", script, half.model_dump_json()]
    environment = {**os.environ, "PYTHONHASHSEED": "77"}
    printed = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=True)
    assert printed.stdout.split() == [choose_variant(half, request, None) for request in REQUESTS[:50]]


def test_what_is_compared_or_kept_does_not_depend_on_whose_turn_it_is():
    drawn = plan(weight=0.5, shadow=0.5, recording=RecordingPolicy(image_share=0.5))
    turns = candidates(drawn)
    compared = {request for request in REQUESTS if is_compared(drawn, request)}
    kept = {request for request in REQUESTS if is_kept(drawn, request)}
    for first, second in ((turns, compared), (turns, kept), (compared, kept)):
        assert binomtest(len(first & second), len(REQUESTS), 0.25).pvalue > 1e-4
    assert not any(is_kept(plan(), request) or is_compared(plan(), request) for request in REQUESTS)


@pytest.mark.parametrize("key", ["", "k", "é" * 500, "\0", "\udcff"])
def test_any_key_has_a_name_that_does_not_tell_it(key):
    name = digest_key("digits", key)
    assert len(name) == 32
    assert name == digest_key("digits", key) != digest_key("defects", key)
    assert choose_variant(plan(weight=1, sticky=True), REQUESTS[0], key) == "candidate"
