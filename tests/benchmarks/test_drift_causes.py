import pytest

from benchmarks.drift_causes import RIGHT, Ground, main
from benchmarks.planted_causes import PLANTED, WINDOW, plant
from tests.include.monitoring.plain_network import plain_ground


@pytest.fixture(scope="module")
def ground() -> Ground:
    return plain_ground()


@pytest.mark.parametrize("cause", PLANTED)
def test_what_is_planted_is_a_window_and_the_same_for_the_same_seed(ground, cause):
    window, said = plant(cause, ground.live, 1)
    again, _ = plant(cause, ground.live, 1)
    assert len(window.images) == len(window.labels) == len(window.said) == WINDOW
    assert said
    assert all((one == other).all() for one, other in zip(window.images, again.images, strict=True))
    assert (window.said == again.said).all()


def test_every_cause_has_a_right_answer():
    assert set(RIGHT) == set(PLANTED)


def test_the_table_names_each_cause_and_counts_what_is_useless(ground, capsys):
    main(["--seeds", "1"], ground, causes=("camera_fault", "label_noise", "concept_change"))
    printed = capsys.readouterr().out
    assert "label_noise" in printed
    assert "right action: 100% of 3" in printed
    assert "useless retrainings: 0; where drift means retrain: 2" in printed
