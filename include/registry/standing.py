"""Where every certified version stands: what names it, whether it serves, and whether its certificate holds now."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from include.contracts import ModelRef, ModelVersionRef
from include.contracts.governance import Certificate
from include.contracts.retirement import HoldReport, RetirementReport
from include.errors import ArtifactNotFoundError, NotCertifiedError
from include.ledger import Ledger
from include.ledger.certificates import CertifiedVersion, list_certified_versions
from include.ledger.holds import list_holds
from include.ledger.models import find_alias
from include.ledger.plans import find_plan
from include.ledger.retirements import list_retirements
from include.storage import Store, digest_bytes
from include.vision.certificates import certificate_address, read_certificate
from include.vision.graphs import graph_address

# As include/registry/aliases.py names them; importing that here would load MLflow into the web server.
ALIASES = ("champion", "previous", "candidate")
SERVING = "serving"


@dataclass(frozen=True)
class VersionStanding:
    """One certified version, as it stands now.

    :ivar names: Its aliases, and whether it serves.
    :ivar certificate: None where it does not hold.
    :ivar fault: Why the certificate does not hold.
    :ivar hold: What forbids that it is disposed of.
    :ivar retirement: Its tombstone, where it was disposed of.
    :ivar pages: Address in the store of each page about it, by kind; empty where there is none.
    """

    version: ModelVersionRef
    recorded_at: datetime
    names: tuple[str, ...]
    certificate: Certificate | None
    fault: str
    hold: HoldReport | None
    retirement: RetirementReport | None
    pages: dict[str, str]


def list_standings(
    project: str, ledger: Ledger, store: Store, limit: int, before: int | None = None
) -> list[VersionStanding]:
    """Return certified versions, newest first, each with its certificate checked anew.

    :param before: Only versions older than this one.
    """
    names, pages = _name_versions(project, ledger), _find_pages(project, store)
    held = {one.version: one for one in list_holds(ledger, project)}
    retired = {one.version: one for one in list_retirements(ledger, project)}
    standings = []
    for one in list_certified_versions(ledger, project, limit, before):
        number = one.version.version
        certificate, fault = _check(one, store, retired=number in retired)
        found = {
            "evaluation": certificate.decision.candidate.page if certificate else "",
            "explanations": pages.get(("explanations", _shorten(one.version.model)), ""),
            "model_card": pages.get(("model_card", str(number)), ""),
        }
        facts = (certificate, fault, held.get(number), retired.get(number), found)
        standings.append(VersionStanding(one.version, one.recorded_at, names[number], *facts))
    return standings


def find_explanations(model: ModelRef, store: Store) -> str:
    """Return the address of the page that explains a model; empty as long as there is none."""
    found = store.list(f"{model.project}/reports/explanations/{_shorten(model)}", "index.html")
    return found[0] if found else ""


def find_graph_fault(standing: VersionStanding, store: Store) -> str:
    """Say why the kept graph is not the certified one; nothing where it is."""
    if standing.certificate is None:
        return "the certificate does not say which graph is the right one"
    address = graph_address(standing.certificate.model)
    try:
        found = digest_bytes(store.read(address))
    except ArtifactNotFoundError:
        return f"{address} is not in the store"
    return "" if found == standing.certificate.graph else f"{address} has digest {found}"


def _name_versions(project: str, ledger: Ledger) -> defaultdict[int | None, tuple[str, ...]]:
    names: defaultdict[int | None, tuple[str, ...]] = defaultdict(tuple)
    for alias in ALIASES:
        names[find_alias(ledger, project, alias)] += (alias,)
    if plan := find_plan(ledger, project):
        names[plan.champion.model.version] += (SERVING,)
    return names


def _find_pages(project: str, store: Store) -> dict[tuple[str, str], str]:
    """Find every model card by version, and every explanation by the start of the model's key."""
    return {
        (kind, address.split("/")[-2]): address
        for kind in ("explanations", "model_card")
        for address in store.list(f"{project}/reports/{kind}", "index.html")
    }


def _shorten(model: ModelRef) -> str:
    return model.key.removeprefix("sha256:")[:12]


def _check(one: CertifiedVersion, store: Store, *, retired: bool) -> tuple[Certificate | None, str]:
    try:
        certificate = _require_sound(one, store)
        # Of a retired version, only the ledger and the bundle keep it.
        if not retired:
            _require_kept(one, store)
    except NotCertifiedError as error:
        return None, str(error)
    return certificate, ""


def _require_sound(one: CertifiedVersion, store: Store) -> Certificate:
    if one.signed is None:
        raise NotCertifiedError("there is none: the version is older than certificates")
    certificate = read_certificate(one.signed, store)
    report = certificate.decision.candidate
    certified = ModelVersionRef(model=certificate.model, version=certificate.version, accuracy=report.accuracy)
    if certified != one.version:
        raise NotCertifiedError(
            f"it is that of version {certified.version}, model {certified.model.key}, accuracy {certified.accuracy:.4f}"
        )
    return certificate


def _require_kept(one: CertifiedVersion, store: Store) -> None:
    address = certificate_address(one.version.model.project, one.version.version)
    try:
        kept = store.read(address)
    except ArtifactNotFoundError as error:
        raise NotCertifiedError(f"{address} is not in the store") from error
    if kept != one.signed:
        raise NotCertifiedError(f"{address} is not the one in the ledger")
