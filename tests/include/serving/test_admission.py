from concurrent.futures import ThreadPoolExecutor

import pytest

from include.serving.admission import RETRY_SECONDS, Admission
from include.serving.refusals import RefusedRequestError


def test_what_does_not_fit_is_turned_away_and_told_when_to_come_back():
    admission = Admission(3)
    with admission.enter(2):
        with pytest.raises(
            RefusedRequestError, match="2 images are being worked on, and 2 more make over 3"
        ) as refused:
            admission.take(2)
        assert (refused.value.status, refused.value.retry_after) == (429, RETRY_SECONDS)
        with admission.enter():
            assert admission.taken == 3
    assert admission.taken == 0


def test_a_share_is_given_back_when_the_work_fails():
    admission = Admission(1)
    with pytest.raises(ZeroDivisionError), admission.enter():
        1 / 0  # noqa: B018
    assert admission.taken == 0


def test_many_threads_never_hold_more_than_there_is():
    admission = Admission(5)
    seen = []

    def work(_):
        try:
            with admission.enter():
                seen.append(admission.taken)
        except RefusedRequestError:
            return 1
        return 0

    with ThreadPoolExecutor(16) as pool:
        refused = sum(pool.map(work, range(2000)))
    assert len(seen) + refused == 2000
    assert max(seen) <= 5
    assert admission.taken == 0
