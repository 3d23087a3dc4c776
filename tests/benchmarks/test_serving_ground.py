"""Both benchmarks of the serving processes, small, on one real supervisor with real processes and nginx."""

import httpx
import pytest

from benchmarks import replica_kill, swap_load
from benchmarks.serving_ground import start_serving


@pytest.fixture(scope="module")
def ground():
    with start_serving() as ground:
        yield ground


def test_switches_under_load_fail_nobody_and_nobody_gets_a_wrong_answer(ground):
    found = swap_load.measure(ground, swaps=2, rate=40, seconds=2.5)
    assert (found.failures, found.wrong, found.swaps) == ((), 0, 2)
    assert found.in_switches > 20
    assert found.requests - found.in_switches > 20


def test_a_refusal_comes_through_however_much_of_the_body_was_left(ground):
    question, body = ground.question, b"x" * 20_000_000
    for token, refusal in ((question.token, (413, "too_large_bytes")), ("guessed", (401, "unauthorized"))):
        for _ in range(4):
            refused = httpx.post(question.url, content=body, headers={"Authorization": f"Bearer {token}"}, timeout=60)
            assert (refused.status_code, refused.json()["error"]) == refusal


def test_a_killed_process_costs_nobody_an_answer_and_no_row_of_the_log(ground):
    found = replica_kill.measure(ground, kills=1, rate=40)
    assert (found.failures, found.unlogged, found.retried_twice) == ((), 0, 0)
    assert found.retried > 0
    assert found.back_worst < 30
