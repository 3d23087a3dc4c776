import pickle
from typing import get_args

from include.contracts import QuarantineReason
from include.vision.rejection import RejectedImageError, RejectionReason


def test_every_reason_is_one_that_the_quarantine_knows():
    assert set(get_args(RejectionReason)) < set(get_args(QuarantineReason))


def test_a_refusal_comes_out_of_a_decoder_process_as_it_was():
    error = pickle.loads(pickle.dumps(RejectedImageError("empty", "no bytes")))  # noqa: S301
    assert (error.reason, str(error)) == ("empty", "no bytes")
