"""Check a certified version again, from the store alone unless something was erased: no trust in who signed it."""

import math
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from include.contracts import CheckReport, EvaluationReport, PromotionDecision, VerificationReport
from include.contracts.governance import Certificate
from include.errors import ArtifactNotFoundError, NotCertifiedError, PermanentError
from include.ledger import Ledger
from include.registry.bundles import bundle_address
from include.registry.erased import account_for_answers, account_for_images
from include.storage import Store, digest_bytes
from include.storage.parquet import read_table
from include.vision.certificates import certificate_address, read_certificate
from include.vision.graphs import graph_address
from include.vision.images import read_rows
from include.vision.releases import GRAPH

# Measures are fractions of counts: differences below this are rounding.
ROUNDING = 1e-9

Judge = Callable[[Certificate], PromotionDecision]


def verify_version(
    project: str, version: int, store: Store, open_ledger: Callable[[], Ledger], judge: Judge
) -> VerificationReport:
    """Check signature, graph, data and answers of a version's certificate, and derive its verdict again.

    Images and answers that are gone pass only where erasures on record account for exactly these.

    :param open_ledger: Asked only where something is gone.
    :param judge: Decides again by the measurements and the policy of a certificate.
    :raises ArtifactNotFoundError: the version has no certificate.
    """
    address = certificate_address(project, version)
    try:
        signed = store.read(address)
    except ArtifactNotFoundError as error:
        raise ArtifactNotFoundError(
            f"{project} has no certificate of version {version}: {address} is not in store {store.root}"
        ) from error
    verdicts: list[str] = []
    try:
        certificate = read_certificate(signed, store)
        checks = [
            CheckReport(check="signature", passed=True, found=f"issued {certificate.issued_at:%Y-%m-%d %H:%M:%S} UTC"),
            _check("name", lambda: _check_name(certificate, project, version)),
            _check("graph", lambda: _check_graph(certificate, store)),
            _check("data", lambda: _check_data(certificate, store, open_ledger)),
            _check("answers", lambda: _check_answers(certificate, store, open_ledger)),
            _check("verdict", lambda: _check_verdict(certificate, judge, verdicts)),
        ]
    except NotCertifiedError as error:
        checks = [CheckReport(check="signature", passed=False, found=str(error))]
    return VerificationReport(
        project=project,
        version=version,
        valid=all(check.passed for check in checks),
        verdict=verdicts[0] if verdicts else "none",
        checks=tuple(checks),
    )


def _check(name: str, look: Callable[[], str]) -> CheckReport:
    try:
        return CheckReport(check=name, passed=True, found=look())
    except PermanentError as error:
        return CheckReport(check=name, passed=False, found=str(error))


def _check_name(certificate: Certificate, project: str, version: int) -> str:
    found = f"{certificate.model.project} version {certificate.version}"
    if found != f"{project} version {version}":
        raise NotCertifiedError(f"the certificate is that of {found}")
    return found


def _check_graph(certificate: Certificate, store: Store) -> str:
    address, archived = graph_address(certificate.model), bundle_address(certificate.model.project, certificate.version)
    if not store.exists(address):
        # A retired version lives on in its bundle.
        address = f"{archived}/{GRAPH}"
    found = digest_bytes(store.read(address))
    if found != certificate.graph:
        raise NotCertifiedError(f"{address} has digest {found}, certified is {certificate.graph}")
    return found


def _check_data(certificate: Certificate, store: Store, open_ledger: Callable[[], Ledger]) -> str:
    dataset = certificate.model.dataset
    try:
        rows = read_rows(dataset, store, ["digest"])
    except ArtifactNotFoundError as missing:
        try:
            return account_for_images(dataset, store, open_ledger())
        except PermanentError as unexplained:
            raise NotCertifiedError(f"{missing}; {unexplained}") from missing
    return f"version {dataset.version} holds {rows.num_rows} images of digest {dataset.digest}"


def _check_answers(certificate: Certificate, store: Store, open_ledger: Callable[[], Ledger]) -> str:
    decision = certificate.decision
    reports = [decision.candidate, *([decision.champion] if decision.champion else [])]
    gone = [report.answers for report in reports if report.answers and not store.exists(report.answers)]
    accounts = [account_for_answers(address, certificate.model.project, open_ledger()) for address in gone]
    kept = [report for report in reports if report.answers not in gone]
    for report in kept:
        accuracy, images = _count_answers(report, store)
        if images != report.images or not math.isclose(accuracy, report.accuracy, abs_tol=ROUNDING):
            raise NotCertifiedError(
                f"{report.answers} amounts to an accuracy of {accuracy:.6f} on {images} images, certified is "
                f"{report.accuracy:.6f} on {report.images}"
            )
    again = [f"accuracy counted again: {report.accuracy:.6f}" for report in kept]
    return "; ".join([*accounts, *again])


def _count_answers(report: EvaluationReport, store: Store) -> tuple[float, int]:
    if not report.answers:
        raise NotCertifiedError(f"the evaluation of model {report.model.key} kept no answers")
    try:
        table = read_table(store, report.answers, ["label", "predicted"])
        right = pc.sum(pc.equal(table["label"], table["predicted"])).as_py() or 0
    except (pa.ArrowException, KeyError) as error:
        raise NotCertifiedError(f"{report.answers} holds no answers: {error}") from error
    return right / max(1, table.num_rows), table.num_rows


def _check_verdict(certificate: Certificate, judge: Judge, verdicts: list[str]) -> str:
    again = judge(certificate)
    verdicts.append(again.verdict)
    if again.verdict != certificate.decision.verdict:
        raise NotCertifiedError(f"decided again it is {again.verdict}: {'; '.join(again.reasons)}")
    certified = {one.measure: one for one in certificate.decision.comparisons}
    for one in again.comparisons:
        before = certified.get(one.measure)
        if before is None or not math.isclose(before.low, one.low, abs_tol=ROUNDING):
            raise NotCertifiedError(
                f"compared again, {one.measure} differs by {one.low:+.6f} to {one.high:+.6f}; certified is "
                f"{f'{before.low:+.6f} to {before.high:+.6f}' if before else 'nothing'}"
            )
    return "; ".join(again.reasons)
