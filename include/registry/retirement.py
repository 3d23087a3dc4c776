"""Retire versions out of use: seal what must be kept into a bundle, put up a tombstone, remove the rest."""

import logging
from dataclasses import dataclass

from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from include.contracts import ModelRef, ModelVersionRef
from include.contracts.retirement import ArchiveReport, RetirementReport
from include.errors import ArtifactNotFoundError, ContractViolationError, PermanentError
from include.ledger import Ledger
from include.ledger.audit import seal_chain
from include.ledger.disposal import (
    list_idle_versions,
    list_standing_versions,
    record_removal,
    record_retirement,
    require_disposable,
)
from include.ledger.erasures import list_forgotten
from include.ledger.leases import Lease, hold_lease
from include.ledger.models import find_alias, find_model_version, move_alias
from include.ledger.retirements import find_retirement, list_retirements
from include.project import Project
from include.registry.aliases import CANDIDATE, mirror_aliases
from include.registry.bundles import bundle_address, check_bundle, seal_bundle
from include.storage import Store
from include.tracking import MODEL_FOLDER, Tracking
from include.vision.graphs import graph_address
from include.vision.releases import release_address

RETIRED_TAG = "windhover.retired"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Registry:
    """A project's versions, and everything of theirs."""

    project: Project
    store: Store
    ledger: Ledger
    tracking: Tracking


def retire_models(
    project: Project, store: Store, ledger: Ledger, tracking: Tracking, holder: str
) -> tuple[RetirementReport, ...]:
    """Retire what nothing needs any more by the project's `registry`, and complete what was begun; return what it did.

    :param holder: Name of the attempt, equal for retries of one task.
    :raises ContractViolationError: some could not be archived; the others are retired.
    :raises LeaseHeldError: somebody else is retiring versions of the project.
    """
    registry, policy = _Registry(project, store, ledger, tracking), project.registry
    why = f"out of use, and registered over {policy.retire_days} days ago"
    done, problems = [], []
    with hold_lease(ledger, _lease_name(project), holder) as lease:
        begun = [one.version for one in list_retirements(ledger, project.name) if one.removed_at is None]
        idle = list_idle_versions(ledger, project.name, policy.keep_versions, policy.retire_days)
        for number in [*sorted(begun), *(one.version for one in idle)]:
            try:
                done.append(_retire(registry, number, lease, holder, why))
            except PermanentError as error:
                problems.append(f"version {number}: {error}")
    if problems:
        raise ContractViolationError(f"{len(problems)} version(s) of {project.name} stay: {'; '.join(problems)}")
    return tuple(done)


def retire_model(
    version: int, project: Project, store: Store, ledger: Ledger, tracking: Tracking, holder: str, *, who: str, why: str
) -> RetirementReport:
    """Retire one version, whatever its age; one that is retired already is left alone, and its tombstone returned.

    Killed at any point, it is completed by running it again.

    :param holder: Name of the attempt.
    :param who: The person who asks for it.
    :raises ArtifactNotFoundError: the project has no such version.
    :raises ContractViolationError: it is champion, or the one before, or serves, or is held, or is the only one.
    :raises LeaseHeldError: somebody else is retiring versions of the project.
    """
    if not why.strip():
        raise ContractViolationError("a version is retired for a reason, which is kept; give one")
    with hold_lease(ledger, _lease_name(project), holder) as lease:
        return _retire(_Registry(project, store, ledger, tracking), version, lease, who, why)


def rescore_archived(project: str, version: int, store: Store, ledger: Ledger) -> ArchiveReport:
    """Check the bundle of a retired version against its tombstone, and have it score its images again.

    :raises ArtifactNotFoundError: there is no bundle.
    :raises ContractViolationError: it is not the one that was sealed, or answers differently.
    """
    report = check_bundle(project, version, store, list_forgotten(ledger, project))
    tombstone = find_retirement(ledger, project, version)
    if tombstone and tombstone.bundle != report.bundle:
        raise ContractViolationError(
            f"bundle {tombstone.address} has digest {report.bundle}, the tombstone says {tombstone.bundle}: it was "
            "exchanged; restore it from a backup"
        )
    return report


def _retire(registry: _Registry, number: int, lease: Lease, who: str, why: str) -> RetirementReport:
    project, store, ledger = registry.project, registry.store, registry.ledger
    version = find_model_version(ledger, project.name, version=number)
    if version is None:
        raise ArtifactNotFoundError(f"{project.name} has no certified version {number}; nothing was retired")
    tombstone = find_retirement(ledger, project.name, number)
    if tombstone is None:
        require_disposable(ledger, project.name, number)
        _name_another_candidate(registry, number, who)
        bundle = seal_bundle(version, project, store, ledger, registry.tracking).bundle
        address = bundle_address(project.name, number)
        tombstone = record_retirement(ledger, version, bundle, address, lease, who, why)
    if tombstone.removed_at is None:
        # Perhaps long after it was sealed: the last of the originals goes only once it has answered.
        rescore_archived(project.name, number, store, ledger)
        _remove_originals(registry, version, tombstone)
        record_removal(ledger, project.name, number)
        logger.info("version %d of %s is retired; %s is left", number, project.name, tombstone.address)
    seal_chain(ledger, project.name, store)
    return find_retirement(ledger, project.name, number) or tombstone


def _name_another_candidate(registry: _Registry, number: int, who: str) -> None:
    """`deploy` puts the candidate into service: that must not be a version that is gone."""
    name, ledger = registry.project.name, registry.ledger
    if find_alias(ledger, name, CANDIDATE) != number:
        return
    others = [version.version for version, _ in list_standing_versions(ledger, name) if version.version != number]
    if not others:
        raise ContractViolationError(
            f"version {number} is the only one that {name} has; register another before this one is retired"
        )
    reason = f"version {number} is being retired"
    move_alias(ledger, name, CANDIDATE, expected=number, version=others[0], reason=reason, who=who)


def _remove_originals(registry: _Registry, version: ModelVersionRef, tombstone: RetirementReport) -> None:
    """Remove what the bundle has taken the place of; certificate, card, reports and measurements stay."""
    name, store = registry.project.name, registry.store
    for digest in tombstone.releases:
        store.remove(release_address(name, digest))
    weights = {one.model.weights for one, _ in list_standing_versions(registry.ledger, name)}
    if version.model.weights not in weights:
        store.remove(graph_address(version.model))
    try:
        mirror_aliases(name, registry.ledger, registry.tracking)
        _mark_version(registry, version, tombstone)
        _remove_weights(version.model, registry.tracking)
    except ArtifactNotFoundError:
        logger.info("MLflow holds nothing of version %d any more", version.version)


def _mark_version(registry: _Registry, version: ModelVersionRef, tombstone: RetirementReport) -> None:
    name, number = registry.project.name, str(version.version)
    said = f"{tombstone.retired_by}, {tombstone.retired_at:%Y-%m-%d}: {tombstone.reason}; see {tombstone.address}"
    with registry.tracking.connect() as client:
        for alias, pointed in client.get_registered_model(name).aliases.items():
            if str(pointed) == number:
                client.delete_registered_model_alias(name, alias)
        client.set_tag(version.model.run_id, RETIRED_TAG, said)
        client.set_model_version_tag(name, number, RETIRED_TAG, said)


def _remove_weights(model: ModelRef, tracking: Tracking) -> None:
    """Remove the model's folder from its run; MLflow's client can only remove whole runs, with their measurements."""
    with tracking.connect() as client:
        artifacts = client.get_run(model.run_id).info.artifact_uri
        repository = get_artifact_repository(artifacts, tracking_uri=tracking.uri)
        repository.delete_artifacts(MODEL_FOLDER)  # type: ignore[no-untyped-call]


def _lease_name(project: Project) -> str:
    return f"{project.name}/retirement"
