import subprocess
import sys

from include.settings import REPOSITORY
from include.training.choice import choose_settings


def test_where_nothing_is_tuned_the_file_decides_and_nobody_is_asked(quick_project, publish, digit_images):
    dataset = publish(digit_images[:8])
    assert choose_settings(quick_project, dataset, None, None) is quick_project


def test_a_training_without_a_search_does_not_load_optuna():
    probe = "import sys; import include.training.choice, include.training.fit; print('optuna' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", probe], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
