"""Errors raised on purpose.

WindhoverError
├── PermanentError                  retrying cannot help
│   ├── ContractViolationError          an artifact or setting breaks its contract
│   │   └── ProjectFileError                a project file is missing, unreadable or has an impossible value
│   ├── ArtifactNotFoundError           a reference points at nothing
│   ├── DataQualityError                the data failed its gate
│   ├── ParityError                     an exported model answers differently from the trained one
│   ├── NotCertifiedError               a model was offered for release without a promoting decision
│   ├── RolloutFailedError              a release did not come up healthy
│   └── StaleAttemptError               a newer attempt holds the lease; this one must not write
└── TransientError                  the outside world failed; retry
    ├── ServiceUnavailableError         PostgreSQL, MLflow or the serving process does not answer
    └── LeaseHeldError                  another attempt is writing right now

A message says what happened, with which values, and what to do. What is done about each, and about errors of others, is
its handling: the retry policy of the tasks and their incidents follow it, and docs/errors.md explains it.
"""

from typing import ClassVar, Literal

Handling = Literal["retry", "resume", "shrink_batch", "quarantine", "fall_back", "escalate"]

# Nothing that is tried again by itself could help.
FINAL: frozenset[Handling] = frozenset({"quarantine", "fall_back", "escalate"})
# By full name, so that no DAG file needs to import what defines them. First the stages' own permanent errors:
STAGES: dict[str, Handling] = {
    "include.data.sources.web.FileGoneError": "quarantine",
    "include.data.sources.web.FileTooLargeError": "quarantine",
    "include.data.sources.web.ForbiddenTargetError": "quarantine",
    "include.serving.model.ModelFailedError": "fall_back",
    "include.vision.rejection.RejectedImageError": "quarantine",
}
# Errors of others.
FOREIGN: dict[str, Handling] = {
    "airflow.sdk.exceptions.AirflowTaskTerminated": "resume",
    "airflow.sdk.exceptions.AirflowTaskTimeout": "resume",
    "builtins.ConnectionError": "retry",
    "builtins.MemoryError": "shrink_batch",
    "builtins.OSError": "retry",
    "builtins.TimeoutError": "retry",
    "concurrent.futures.process.BrokenProcessPool": "resume",
    "httpx.TransportError": "retry",
    "mlflow.exceptions.MlflowException": "retry",
    "pydantic_core._pydantic_core.ValidationError": "escalate",
    "sqlalchemy.exc.OperationalError": "retry",
    "torch.OutOfMemoryError": "shrink_batch",
}
UNFORESEEN: Handling = "retry"


class WindhoverError(Exception):
    """Base of every error this library raises on purpose."""

    handling: ClassVar[Handling] = "escalate"


class PermanentError(WindhoverError):
    """The same inputs will fail the same way."""


class ContractViolationError(PermanentError):
    """An artifact or setting does not match its contract."""


class ProjectFileError(ContractViolationError):
    """A project file is missing, unreadable, or holds an unknown or impossible value."""


class ArtifactNotFoundError(PermanentError):
    """A reference points at nothing."""


class DataQualityError(PermanentError):
    """Data failed its gate: too much in quarantine, or an expectation broken."""

    handling: ClassVar[Handling] = "quarantine"


class ParityError(PermanentError):
    """The exported model does not answer like the trained one."""

    handling: ClassVar[Handling] = "fall_back"


class NotCertifiedError(PermanentError):
    """A model was offered for release without a promoting decision, or without a certificate that verifies."""

    handling: ClassVar[Handling] = "fall_back"


class RolloutFailedError(PermanentError):
    """A rollout could not begin, or its release did not prove itself; what answered before answers."""

    handling: ClassVar[Handling] = "fall_back"


class StaleAttemptError(PermanentError):
    """A newer attempt has taken over the lease; nothing of this attempt may become visible."""

    handling: ClassVar[Handling] = "fall_back"


class TransientError(WindhoverError):
    """The same call may succeed later."""

    handling: ClassVar[Handling] = "retry"


class ServiceUnavailableError(TransientError):
    """A service this stage needs does not answer."""


class LeaseHeldError(TransientError):
    """Another attempt is writing right now."""


def find_handling(error: BaseException) -> Handling:
    """Return what is done about an error: as said of its class, or of the nearest class it is made of."""
    for kind in type(error).__mro__:
        name = f"{kind.__module__}.{kind.__qualname__}"
        if found := STAGES.get(name) or FOREIGN.get(name):
            return found
        if "handling" in vars(kind) and issubclass(kind, WindhoverError):
            return kind.handling
    return UNFORESEEN
