import json
import re
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from include.contracts import DriftReport, FeatureDriftReport
from include.monitoring.drift_page import PAGES, publish_page
from include.monitoring.layers import METHODS, REQUIRED, Weighed, weigh_features
from include.monitoring.series import name_drift_page
from include.storage import Store

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def weighed() -> list[Weighed]:
    chance = np.random.default_rng(2)
    reference, window = (
        {name: chance.random(80).tolist() for name in REQUIRED}
        | {"predicted": chance.choice(["a", "b"], 80).tolist(), "embedding": chance.random((80, 4)).tolist()}
        for _ in range(2)
    )
    return weigh_features(pa.table(reference), pa.table(window | {"entropy": [0.5] * 79 + [None]}))


@pytest.fixture
def report(weighed: list[Weighed]) -> DriftReport:
    """As if earlier windows had shown that brightness drifts, and nothing of this one did."""
    features = [
        FeatureDriftReport(
            feature=one.feature, layer=one.layer, method=METHODS[one.feature],
            p_value=0.25, threshold=0.5 if one.feature == "brightness" else 0.1, drifted=one.feature == "brightness",
        )
        for one in weighed
    ]  # fmt: skip
    window = {"project": "digits", "start": NOON, "end": NOON + timedelta(hours=1), "release": None, "predictions": 80}
    return DriftReport.model_validate(window | {"verdict": "drift", "features": features, "summary": "drift"})


def publish(report: DriftReport, weighed: list[Weighed], store: Store) -> str:
    publish_page(report, weighed, store)
    return name_drift_page(report)


def test_page_and_result_say_what_was_found(report: DriftReport, weighed: list[Weighed], store: Store):
    address = publish(report, weighed, store)
    assert re.fullmatch(r"digits/reports/drift/20260301T130000-[0-9a-f]{16}/index\.html", address)
    page = store.read(address).decode()
    assert re.findall(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=[\"']?(?!data:)[^>]*>", page) == []
    assert not re.search(r"@import\s+(url|['\"])|url\(['\"]?https?:", page)
    assert all(feature.feature in page for feature in report.features)
    result = json.loads(store.read(address.replace("index.html", "result.json")))
    columns = {one["config"]["column"]: one for one in result["metrics"] if "column" in one["config"]}
    assert {name: (one["value"], one["config"]["threshold"]) for name, one in columns.items()} == {
        feature.feature: (0.25, feature.threshold) for feature in report.features
    }
    count = next(one["value"] for one in result["metrics"] if "count" in str(one["value"]))
    assert count["count"] == 1


def test_publishing_twice_leaves_the_first_page(report: DriftReport, weighed: list[Weighed], store: Store):
    address = publish(report, weighed, store)
    before = store.read(address)
    assert publish(report, weighed, store) == address
    assert store.read(address) == before


def test_only_the_newest_pages_stay_and_every_result(report: DriftReport, weighed: list[Weighed], store: Store):
    folder = "digits/reports/drift"
    for day in range(PAGES + 3):
        for name in ("index.html", "result.json"):
            store.write(f"{folder}/2026{day // 28 + 1:02d}{day % 28 + 1:02d}T000000-0/{name}", b"old")
    address = publish(report, weighed, store)
    pages = sorted(store.list(folder, "*/index.html"))
    assert (len(pages), pages[-1]) == (PAGES, address)
    assert len(store.list(folder, "*/result.json")) == PAGES + 4
