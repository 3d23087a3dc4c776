"""Data drift: a window of predictions against the reference its release was certified on, by Evidently."""

import io
import json
import math
import os

import numpy as np
import pandas as pd
from scipy.stats import chi2_contingency

from include.contracts import DriftReport, FeatureDriftReport, ProfileReport
from include.errors import ContractViolationError
from include.project import Project
from include.storage import Store, digest_bytes
from include.vision.releases import REFERENCE, release_address

os.environ.setdefault("DO_NOT_TRACK", "1")  # read when evidently is imported

from evidently import DataDefinition, Dataset, Report
from evidently.core.report import Snapshot
from evidently.legacy.calculations.stattests import StatTest, register_stattest
from evidently.legacy.core import ColumnType
from evidently.presets import DataDriftPreset

NUMERICAL = ("brightness", "contrast", "sharpness", "entropy", "confidence")
CATEGORICAL = ("predicted",)
FEATURES = NUMERICAL + CATEGORICAL
# Pinned: Evidently chooses by sample size otherwise, and a window would change its test with the traffic.
NUMERICAL_METHOD = "ks"
CATEGORICAL_METHOD = "chi_square_homogeneity"


def detect_drift(project: Project, profile: ProfileReport, store: Store) -> DriftReport:
    """Test every feature of a window against the reference of its release.

    Two-sample Kolmogorov-Smirnov for numbers, chi-square of homogeneity for classes; each at the project's false alarm
    rate divided by the number of features (Bonferroni), so that the whole window keeps that rate.
    """
    window = {"project": project.name, "start": profile.start, "end": profile.end, "release": profile.release}
    counted = {**window, "predictions": profile.predictions}
    needed = project.monitoring.min_predictions
    if profile.address is None or profile.release is None or profile.predictions < needed:
        summary = f"no evidence: {profile.predictions} predictions, at least {needed} are needed"
        return DriftReport.model_validate({**counted, "verdict": "insufficient", "summary": summary})
    threshold = project.monitoring.false_alarm_rate / len(FEATURES)
    reference = _read(store, f"{release_address(project.name, profile.release)}/{REFERENCE}")
    snapshot = run_tests(reference, _read(store, profile.address), threshold)
    features = read_features(snapshot, threshold)
    drifted = [feature.feature for feature in features if feature.drifted]
    return DriftReport.model_validate(
        {
            **counted,
            "verdict": "drift" if drifted else "stable",
            "features": features,
            "summary": _summarise(drifted, threshold, profile.predictions),
            "report": _publish(snapshot, profile, features, store),
        }
    )


def run_tests(reference: pd.DataFrame, current: pd.DataFrame, threshold: float) -> Snapshot:
    """Run Evidently with every method and threshold pinned; the data frames hold the columns `FEATURES`."""
    definition = DataDefinition(numerical_columns=list(NUMERICAL), categorical_columns=list(CATEGORICAL))
    preset = DataDriftPreset(
        columns=list(FEATURES),
        drift_share=1 / len(FEATURES),  # one drifted feature is drift, on the page as in the verdict
        num_method=NUMERICAL_METHOD,
        cat_method=CATEGORICAL_METHOD,
        num_threshold=threshold,
        cat_threshold=threshold,
    )
    with np.errstate(invalid="ignore", divide="ignore"):  # a constant column has no correlation to draw
        return Report([preset]).run(
            Dataset.from_pandas(current, definition), Dataset.from_pandas(reference, definition)
        )


def read_features(snapshot: Snapshot, threshold: float) -> list[FeatureDriftReport]:
    """Read the p-values back out of Evidently's result.

    :raises ContractViolationError: a feature has none.
    """
    found = {
        metric["config"]["column"]: (metric["config"]["method"], float(metric["value"]))
        for metric in snapshot.dict()["metrics"]
        if "column" in metric["config"]
    }
    missing = [feature for feature in FEATURES if not math.isfinite(found.get(feature, ("", math.nan))[1])]
    if missing:
        raise ContractViolationError(f"Evidently gave no p-value for {', '.join(missing)}; compare the logged columns")
    return [
        FeatureDriftReport(
            feature=feature,
            method=found[feature][0],
            p_value=found[feature][1],
            threshold=threshold,
            drifted=found[feature][1] <= threshold,
        )
        for feature in FEATURES
    ]


def _read(store: Store, address: str) -> pd.DataFrame:
    table = pd.read_parquet(io.BytesIO(store.read(address)))
    missing = [feature for feature in FEATURES if feature not in table or table[feature].isna().all()]
    if missing:
        raise ContractViolationError(f"{address} has no values of {', '.join(missing)}; package the release again")
    return table[list(FEATURES)]


def _summarise(drifted: list[str], threshold: float, predictions: int) -> str:
    if not drifted:
        return f"stable: no feature differs (p >= {threshold:.2g}) in {predictions} predictions"
    differ = "differs" if len(drifted) == 1 else "differ"
    return f"drift: {', '.join(drifted)} {differ} (p < {threshold:.2g}) in {predictions} predictions"


def _publish(snapshot: Snapshot, profile: ProfileReport, features: list[FeatureDriftReport], store: Store) -> str:
    content = json.dumps([profile.model_dump(mode="json"), [feature.model_dump() for feature in features]])
    name = digest_bytes(content.encode()).removeprefix("sha256:")[:16]
    address = f"{profile.project}/reports/drift/{name}/index.html"
    # Evidently numbers its charts at random: the address is made of the inputs, and the first page stays.
    if not store.exists(address):
        store.write(address, snapshot.get_html_str(as_iframe=False).encode())
    return address


def _test_homogeneity(
    reference: "pd.Series[str]", current: "pd.Series[str]", _: ColumnType, threshold: float
) -> tuple[float, bool]:
    """Chi-square test of homogeneity (Pearson): both samples may err.

    Evidently's own `chisquare` takes the shares of the reference for exact and so cries wolf with a small one.
    """
    counts = pd.crosstab([*["reference"] * len(reference), *["current"] * len(current)], [*reference, *current])
    p_value = float(chi2_contingency(counts.to_numpy(), correction=False).pvalue)
    return p_value, p_value <= threshold


register_stattest(
    StatTest(CATEGORICAL_METHOD, "chi-square (homogeneity) p_value", [ColumnType.Categorical]), _test_homogeneity
)
