import time

import pytest

from benchmarks.planted_causes import plant
from benchmarks.planted_release import log_window, publish_images, publish_release
from include.monitoring.evidence import gather_evidence
from include.monitoring.faults import Fault, list_faults
from include.monitoring.shift import Shift
from include.monitoring.trials import Bench, Trial
from tests.include.monitoring.plain_network import plain_ground

(ZOOM,) = (fault.kind for fault in list_faults() if fault.name == "too far away" and fault.degree == 0.6)


@pytest.fixture
def ground():
    return plain_ground()


@pytest.fixture
def evidence(ground, store):
    release = publish_release(ground.graph, ground.serialized, ground.certified, ground.project, store)
    publish_images(ground.certified, ground.project, store)
    drift = log_window(plant("geometry", ground.live, 2)[0], ground.graph, release, ground.project, store, 0)
    return gather_evidence(ground.project, drift, store)


@pytest.fixture
def shift(evidence):
    return Shift(evidence.window, evidence.reference, evidence.reference_labels, evidence.lens.names)


def test_the_true_fault_explains_more_than_others(evidence, shift):
    bench = Bench(shift, evidence.lens, evidence.known)
    scores = {(one.kind.name, one.degree): bench.score((one,))[0] for one in list_faults()[::3]}
    true = bench.score((Fault(ZOOM, 0.6),))[0]
    others = [score for (name, _), score in scores.items() if name != ZOOM.name]
    assert true > 0.8
    assert max(others) < true


def test_a_fault_is_found_among_all_with_a_degree_between_those_tried(evidence, shift):
    found = Trial(shift, evidence.lens, evidence.known, 0.9, time.monotonic() + 60).explain()
    assert found is not None
    assert (found.cause, found.name) == ("geometry", "too far away")
    assert found.share > 0.8
    assert found.accuracy < 0.8 < found.attainable == 0.9
    assert "done to 64 known images" in found.evidence


def test_without_time_nothing_is_said(evidence, shift):
    assert Trial(shift, evidence.lens, evidence.known, 0.9, time.monotonic() - 1).explain() is None
