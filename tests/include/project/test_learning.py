import pytest

from include.project import TrainingConfig
from include.project.learning import change_settings, read_setting


def test_settings_change_at_any_depth_and_the_rest_stays():
    training = TrainingConfig(epochs=7)
    changed = change_settings(training, {"learning_rate": 0.5, "augmentation.flip_horizontal": True})
    assert (changed.epochs, changed.learning_rate, changed.augmentation.flip_horizontal) == (7, 0.5, True)
    assert read_setting(changed, "augmentation.flip_horizontal") is True
    assert not training.augmentation.flip_horizontal


@pytest.mark.parametrize("name", ["lr", "augmentation", "augmentation.turn", "seed.more", "", "__class__"])
def test_what_is_no_setting_is_refused(name):
    with pytest.raises(ValueError, match="has no setting"):
        change_settings(TrainingConfig(), {name: 1})
