import asyncio
import threading

import pytest

from include.serving.crew import Crew


@pytest.fixture
def crew():
    crew = Crew(1, "testing")
    yield crew
    crew.close()


def test_work_is_done_elsewhere_in_its_order(crew):
    done = []

    async def ask():
        jobs = [crew.begin(lambda place=place: done.append(place) or threading.get_ident()) for place in range(100)]
        return {await job.result for job in jobs}

    (thread,) = asyncio.run(ask())
    assert thread != threading.get_ident()
    assert done == list(range(100))


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), StopIteration("end"), asyncio.CancelledError()])
def test_a_failure_is_raised_where_the_result_is_awaited_and_harms_nobody_else(crew, error):
    def fail():
        raise error

    async def ask():
        jobs = [crew.begin(lambda: 1), crew.begin(fail), crew.begin(lambda: 2)]
        return await asyncio.gather(*(asyncio.shield(job.result) for job in jobs), return_exceptions=True)

    first, failed, last = asyncio.run(ask())
    assert (first, last) == (1, 2)
    assert isinstance(failed, RuntimeError if isinstance(error, StopIteration) else type(error))


def test_who_gave_up_is_not_worked_for(crew):
    held = threading.Event()
    done = []

    async def ask():
        first = crew.begin(lambda: held.wait(30))
        second = crew.begin(lambda: done.append("second"))
        third = crew.begin(lambda: done.append("third"))
        second.result.cancel()
        held.set()
        await asyncio.gather(first.result, third.result)
        return first.began, second.began

    assert asyncio.run(ask()) == (True, False)
    assert done == ["third"]


def test_nothing_is_lost_between_many_threads_and_their_loop():
    crew = Crew(8, "testing")

    async def ask():
        return [await asyncio.gather(*(crew.begin(lambda n=n: n).result for n in range(500))) for _ in range(20)]

    assert asyncio.run(asyncio.wait_for(ask(), 60)) == [list(range(500))] * 20
    crew.close()


def test_a_loop_that_ended_meanwhile_is_no_trouble_for_the_next(crew):
    held = threading.Event()

    async def leave():
        crew.begin(lambda: held.wait(30))

    async def ask():
        return await asyncio.wait_for(crew.begin(lambda: "here").result, 30)

    asyncio.run(leave())
    held.set()
    assert asyncio.run(ask()) == "here"


def test_closing_ends_what_was_begun_and_takes_no_more():
    crew = Crew(2, "testing")
    done = []

    async def ask():
        jobs = [crew.begin(lambda n=n: done.append(n)) for n in range(50)]
        crew.close()
        with pytest.raises(RuntimeError, match="gone home"):
            crew.begin(print)
        await asyncio.gather(*(job.result for job in jobs))

    asyncio.run(ask())
    assert sorted(done) == list(range(50))
