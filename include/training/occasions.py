"""What a training answers: a request, new data, or a person; one training each, and its end frees the next."""

from collections.abc import Sequence
from typing import get_args

from include.contracts import DatasetRef, ModelRef, RetrainingRequest, TrainingMode
from include.errors import ContractViolationError
from include.ledger import Ledger
from include.ledger.episodes import close_answered_episode
from include.ledger.retrainings import begin_retraining, end_retraining
from include.project import Project


def begin_training(
    project: Project,
    dataset: DatasetRef,
    requests: Sequence[RetrainingRequest],
    ledger: Ledger,
    run: str,
    *,
    by: str | None,
    mode: str | None = None,
) -> RetrainingRequest:
    """Record what a run trains for, and return it with the mode to train in.

    :param requests: Those that started the run, oldest first; none where new data or a person did.
    :param by: Who started it by hand.
    :param mode: The form's choice; none: the request's, or the project file's.
    :raises ContractViolationError: there is no such mode.
    """
    if mode and mode not in get_args(TrainingMode):
        raise ContractViolationError(f"there is no way to train called {mode!r}; {', '.join(get_args(TrainingMode))}")
    answered = list(requests) or [_describe(project, dataset, run, by)]
    for request in answered:
        begin_retraining(ledger, request, occasion=request.occasion, run=run)
    return answered[-1].model_copy(update={"mode": mode} if mode else {})


def end_training(project: str, model: ModelRef | None, ledger: Ledger, run: str) -> str:
    """Record how a run's training ended, and return it; an episode whose training failed is over, another may open."""
    outcome = f"trained candidate {model.key[:19]}" if model else "no candidate came of it"
    ended = end_retraining(ledger, project, run, outcome)
    if model is None and any(request.episode is not None for request in ended):
        close_answered_episode(ledger, project, "its training failed")
    return outcome


def _describe(project: Project, dataset: DatasetRef, run: str, by: str | None) -> RetrainingRequest:
    known = f"dataset version {dataset.version}, {dataset.labelled} of {dataset.images} images labelled"
    return RetrainingRequest(
        project=project.name,
        episode=None,
        occasion=f"run {run}",
        reason=f"asked for by {by}: {known}" if by else f"new data: {known}",
        trigger="demand" if by else "new_data",
        mode=project.training.mode,
    )
