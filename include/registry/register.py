"""Give a promoted model its version in the registry, its alias and its model card."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import sqlalchemy as sa
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from include.contracts import ApprovalReport, ModelRef, ModelVersionRef, PromotionDecision
from include.errors import NotCertifiedError
from include.ledger import Ledger
from include.ledger.audit import seal_chain
from include.ledger.models import find_alias, find_model_version, move_alias, record_model_version
from include.ledger.retirements import require_not_retired
from include.project import Project
from include.registry.aliases import CANDIDATE, mirror_aliases
from include.registry.certificate import issue_certificate
from include.registry.model_card import write_model_card
from include.storage import Store, digest_bytes
from include.tracking import ERASED_TAG, KEY_TAG, MODEL_FOLDER, Tracking

logger = logging.getLogger(__name__)


def register_model(
    decision: PromotionDecision,
    project: Project,
    store: Store,
    ledger: Ledger,
    tracking: Tracking,
    who: str | None = None,
    approvals: Sequence[ApprovalReport] = (),
) -> ModelVersionRef:
    """Register and certify a promoted model once, however often and by however many attempts at once it is asked for.

    :param who: Run or person, for the audit chain.
    :param approvals: Of the people who answer for it, for its certificate.
    :raises NotCertifiedError: the decision does not promote it, or its origin is not on record.
    :raises ContractViolationError: audit chain or weights were tampered with.
    """
    model = _require_promoted(decision)
    # Of a whole project: the name of the newest version would otherwise be raced for.
    with _one_at_a_time(ledger, f"register/{model.project}"):
        seal_chain(ledger, model.project, store)
        registered = find_model_version(ledger, model.project, key=model.key)
        with tracking.connect() as client:
            number = _keep_one(client, decision, registered)
        if registered:
            with ledger.begin() as connection:
                require_not_retired(connection, model.project, registered.version)
            issue_certificate(registered, decision, project, store, ledger, tracking, approvals)
            return registered
        version = ModelVersionRef(model=model, version=number, accuracy=decision.candidate.accuracy)
        signed = issue_certificate(version, decision, project, store, ledger, tracking, approvals)
        write_model_card(version, decision, project, store, tracking, approvals)
        _name_candidate(version, decision, ledger, who)
        mirror_aliases(model.project, ledger, tracking)
        # Last, so that an attempt that finds this record can rely on everything above.
        record_model_version(ledger, version, who, "; ".join(decision.reasons), digest_bytes(signed))
        seal_chain(ledger, model.project, store)
    logger.info("registered: %s", tracking.model_url(model.project, number))
    return version


def _require_promoted(decision: PromotionDecision) -> ModelRef:
    model = decision.candidate.model
    if decision.verdict != "promote":
        raise NotCertifiedError(
            f"model {model.key} of {model.project} was not promoted ({decision.verdict}: "
            f"{'; '.join(decision.reasons)}); nothing to register"
        )
    return model


def _name_candidate(version: ModelVersionRef, decision: PromotionDecision, ledger: Ledger, who: str | None) -> None:
    project, reason = version.model.project, decision.reasons[0]
    previous = find_alias(ledger, project, CANDIDATE)
    move_alias(ledger, project, CANDIDATE, expected=previous, version=version.version, reason=reason, who=who)


@contextmanager
def _one_at_a_time(ledger: Ledger, name: str) -> Iterator[None]:
    """Hold a lock that PostgreSQL lets go when this process dies, so that a retry need not wait for an expiry."""
    with ledger.begin() as connection:
        connection.execute(sa.text("SET LOCAL lock_timeout = '60s'"))
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(name, 0))))
        yield


def _keep_one(client: MlflowClient, decision: PromotionDecision, registered: ModelVersionRef | None) -> int:
    """Return the number of the one version that carries the model's key; none yet: create it."""
    model = decision.candidate.model
    found = _find_versions(client, model.project, model.key)
    if not found and not registered:
        _create_version(client, decision)
        found = _find_versions(client, model.project, model.key)
    number = registered.version if registered else int(found[0].version)
    # MLflow's client resends a request whose answer was lost, and the server may finish that of a process that was
    # killed after another one registered the model: then there are two versions of one key.
    for surplus in found:
        if int(surplus.version) != number:
            client.delete_model_version(model.project, str(surplus.version))
    return number


def _create_version(client: MlflowClient, decision: PromotionDecision) -> None:
    model = decision.candidate.model
    _create_registered_model(client, model.project)
    run = client.get_run(model.run_id)
    tags = {
        KEY_TAG: model.key,
        "windhover.dataset": model.dataset.digest,
        "windhover.weights": model.weights,
        "windhover.test": decision.candidate.test_digest,
        "windhover.decision": f"{decision.verdict}: {'; '.join(decision.reasons)}",
    }
    if ERASED_TAG in run.data.tags:
        tags[ERASED_TAG] = run.data.tags[ERASED_TAG]
    source = f"{run.info.artifact_uri}/{MODEL_FOLDER}"
    client.create_model_version(model.project, source, model.run_id, tags=tags, await_creation_for=0)


def _find_versions(client: MlflowClient, project: str, key: str) -> list[ModelVersion]:
    found = client.search_model_versions(f"name = '{project}' and tags.`{KEY_TAG}` = '{key}'")
    return sorted(found, key=lambda version: int(version.version))


def _create_registered_model(client: MlflowClient, name: str) -> None:
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
