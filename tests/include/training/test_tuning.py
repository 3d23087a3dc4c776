from concurrent.futures import ThreadPoolExecutor

import pytest

from include.contracts import DatasetRef
from include.errors import ContractViolationError, StaleAttemptError
from include.ledger import Ledger
from include.project import TuningConfig
from include.storage import digest_bytes
from include.training.tuning import MAX_ATTEMPTS, SLOT, Study, name_study, require_settings

RATES = {"learning_rate": {"low": 1e-4, "high": 1e-1, "log": True}}
CHOICES = {"learning_rate": {"choices": [0.01, 0.1]}, "schedule": {"choices": ["cosine", "one_cycle", "constant"]}}


@pytest.fixture
def dataset(request):
    digest = digest_bytes(request.node.nodeid.encode())
    return DatasetRef(project="digits", address="digits/images.lance", version=1, digest=digest, images=9, labelled=9)


@pytest.fixture
def tuned(project):
    def make(**tuning):
        return project.model_copy(update={"tuning": TuningConfig.model_validate(tuning)})

    return make


@pytest.fixture
def open_study(dataset, ledger, tuned):
    """Give a function that opens the study as another process would."""
    return lambda **tuning: Study(tuned(**tuning), dataset, ledger)


def finish(study, trial, accuracy=0.5, loss=1.0):
    study.complete(trial, accuracy, loss)
    return trial.user_attrs[SLOT], trial.params


def run_all(study):
    done = []
    while True:
        with study.claim_trial() as trial:
            if trial is None:
                return done
            done.append(finish(study, trial))


def test_a_grid_tries_each_combination_once(open_study):
    study = open_study(method="grid", search=CHOICES)
    tried = [tuple(params.values()) for _, params in run_all(study)]
    assert sorted(tried) == sorted(
        (rate, schedule) for rate in (0.01, 0.1) for schedule in CHOICES["schedule"]["choices"]
    )
    assert study.report().completed == 6


def test_the_fast_profile_tries_few_and_its_short_trials_count_for_no_other_study(open_study):
    grid = {"method": "grid", "search": CHOICES}
    assert [slot for slot, _ in run_all(open_study(profile="fast", **grid))] == [0, 1, 2]
    assert len(run_all(open_study(**grid))) == 6


def test_a_trial_that_ends_while_it_is_looked_at_counts_as_done(open_study, monkeypatch):
    settings = {"method": "random", "search": RATES, "trials": 2}
    study, other = open_study(**settings), open_study(**settings)
    with study.claim_trial() as first:
        monkeypatch.setattr("include.training.tuning.is_free", lambda *_: bool(finish(study, first)))
        with other.claim_trial() as second:
            monkeypatch.undo()
            finish(other, second)
    assert study.report().completed == 2


def test_many_at_once_never_exceed_the_budget(open_study):
    settings = {"method": "random", "search": RATES, "trials": 9}
    with ThreadPoolExecutor(4) as pool:
        done = [one for found in pool.map(lambda _: run_all(open_study(**settings)), range(4)) for one in found]
    assert sorted(slot for slot, _ in done) == list(range(9))
    assert len({params["learning_rate"] for _, params in done}) == 9


def test_random_values_come_from_the_seed_and_not_from_who_asks(open_study, ledger_uri, project, dataset, tuned):
    settings = {"method": "random", "search": RATES, "trials": 4}
    first = run_all(open_study(**settings))
    # Unlike the method, pruning changes no value: another study with the same search.
    again = run_all(Study(tuned(**settings, prune=False), dataset, Ledger(ledger_uri)))
    assert again == first


def test_a_lost_trial_is_tried_again_with_its_values(open_study):
    settings = {"method": "random", "search": RATES, "trials": 2}
    study = open_study(**settings)
    with pytest.raises(RuntimeError), study.claim_trial() as lost:
        raise RuntimeError("the process ends")
    assert run_all(open_study(**settings))[0] == (0, lost.params)
    report = study.report()
    assert (report.completed, report.failed) == (2, 0)


def test_a_running_trial_is_nobody_elses(open_study):
    settings = {"method": "random", "search": RATES, "trials": 2}
    study = open_study(**settings)
    with study.claim_trial() as mine:
        assert [slot for slot, _ in run_all(open_study(**settings))] == [1]
        assert finish(study, mine)[0] == 0


def test_settings_that_kill_every_time_are_given_up(open_study):
    study = open_study(method="grid", search={"epochs": {"choices": [1, 2]}})
    for _ in range(MAX_ATTEMPTS):
        with pytest.raises(RuntimeError), study.claim_trial():
            raise RuntimeError("out of memory")
    assert [params for _, params in run_all(study)] == [{"epochs": 2}]
    assert (study.report().completed, study.report().failed) == (1, 1)


def test_an_overtaken_attempt_may_not_answer(open_study):
    study = open_study(method="random", search=RATES, trials=1)
    with pytest.raises(RuntimeError), study.claim_trial() as stale:
        raise RuntimeError("the connection is lost, the process is not")
    assert len(run_all(study)) == 1
    with pytest.raises(StaleAttemptError):
        study.prune(stale)


def test_the_best_is_the_most_accurate_then_the_surest(open_study):
    study = open_study(method="grid", search={"epochs": {"choices": [1, 2, 3]}})
    for accuracy, loss in ((0.9, 0.5), (0.9, 0.3), (0.8, 0.1)):
        with study.claim_trial() as trial:
            finish(study, trial, accuracy, loss)
    assert (study.report().settings, study.report().accuracy) == ({"epochs": 2}, 0.9)


def test_settings_that_train_no_model_are_not_tried_again(open_study):
    study = open_study(method="grid", search={"epochs": {"choices": [1]}})
    with study.claim_trial() as trial:
        study.fail(trial, "diverged")
    assert run_all(study) == []
    with pytest.raises(ContractViolationError, match=r"no completed trial \(0 pruned, 1 failed\)"):
        require_settings(study.report())


def test_a_search_that_never_began_says_what_to_run(open_study):
    with pytest.raises(ContractViolationError, match="tried nothing yet: run `tune` first"):
        require_settings(open_study(method="random", search=RATES).report())


def test_the_budget_may_be_raised_and_what_makes_a_trial_makes_another_study(tuned, dataset, open_study):
    run_all(open_study(method="random", search=RATES, trials=2))
    assert len(run_all(open_study(method="random", search=RATES, trials=3))) == 1
    base = tuned(method="random", search=RATES)
    other = base.model_copy(update={"training": base.training.model_copy(update={"seed": 18})})
    names = [name_study(project, dataset) for project in (base, other, tuned(method="tpe", search=RATES))]
    assert len(set(names)) == 3
