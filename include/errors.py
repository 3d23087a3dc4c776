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

A message says what happened, with which values, and what to do.
"""


class WindhoverError(Exception):
    """Base of every error this library raises on purpose."""


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


class ParityError(PermanentError):
    """The exported model does not answer like the trained one."""


class NotCertifiedError(PermanentError):
    """A model was offered for release without a promoting decision, or without a certificate that verifies."""


class RolloutFailedError(PermanentError):
    """A rollout could not begin, or its release did not prove itself; what answered before answers."""


class StaleAttemptError(PermanentError):
    """A newer attempt has taken over the lease; nothing of this attempt may become visible."""


class TransientError(WindhoverError):
    """The same call may succeed later."""


class ServiceUnavailableError(TransientError):
    """A service this stage needs does not answer."""


class LeaseHeldError(TransientError):
    """Another attempt is writing right now."""
