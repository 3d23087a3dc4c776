import re
from datetime import UTC, datetime

import numpy as np
import pytest

from include.contracts import ApprovalReport, BudgetReport, ComparisonReport, ModelVersionRef, SliceReport
from include.errors import ArtifactNotFoundError
from include.evaluation.pictures import draw_confusion
from include.project import EthicsConfig, EvaluationConfig, GateConfig, GovernanceConfig, PromotionPolicy
from include.registry.model_card import card_address, write_model_card
from include.tracking import CURVES, calibration_path, confusion_path


@pytest.fixture
def write(quick_project, store, tracking, create_version):
    def call(decision, approvals=(), **sections):
        model = decision.candidate.model
        create_version(model)
        version = ModelVersionRef(model=model, version=1, accuracy=0.99)
        project = quick_project.model_copy(update=sections)
        write_model_card(version, decision, project, store, tracking, approvals)
        return store.read(card_address(version)).decode()

    return call


def change(decision, **changes):
    """Change what was measured of the candidate."""
    return decision.model_copy(update={"candidate": decision.candidate.model_copy(update=changes)})


def read_rows(page):
    """Cells of every table row, without markup."""
    rows = [
        re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)
        for row in re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL)
    ]
    return [[" ".join(re.sub(r"<[^>]+>", " ", cell).split()) for cell in row] for row in rows]


def test_says_how_good_the_model_is_and_how_it_was_made(write, decide, dataset):
    page = write(decide())
    for fact in ("version 1", "99.00 %", "98.00 %", "97.00 %", dataset.digest, "is enough", "2026-03-01"):
        assert fact in page
    assert "champion before" not in page
    assert "between 96.43 % and 99.73 %" in page


def test_compares_with_the_champion_on_the_same_images(write, decide):
    better = ComparisonReport(
        measure="accuracy", better="higher", candidate=0.99, champion=0.95, low=0.01, high=0.07, p_value=0.0123
    )
    less = ComparisonReport(measure="log_loss", better="lower", candidate=0.1, champion=0.2, low=-0.2, high=0.01)
    decision = decide(champion=decide("old").candidate).model_copy(update={"comparisons": (better, less)})
    rows = read_rows(write(decision))
    assert ["accuracy higher is better", "0.9900", "0.9500", "+0.0400", "+0.0100 to +0.0700", "0.0123"] in rows
    assert ["log_loss lower is better", "0.1000", "0.2000", "-0.1000", "-0.2000 to +0.0100", "-"] in rows


def test_names_what_changed_since_the_champion(write, decide, tracking, dataset):
    older, newer = decide("old").candidate, decide()
    with tracking.connect() as client:
        for report, epochs in ((older, 3), (newer.candidate, 5)):
            client.log_param(report.model.run_id, "epochs", epochs)
            client.log_param(report.model.run_id, "batch_size", 64)
            client.set_tag(report.model.run_id, "windhover.code", f"sha256:{epochs}")
    smaller = dataset.model_copy(update={"images": 5, "version": 9})
    champion = older.model_copy(update={"model": older.model.model_copy(update={"dataset": smaller})})
    page = write(newer.model_copy(update={"champion": champion}))
    rows = read_rows(page[page.index("Changes since") : page.index("Recall by class")])
    versions = ["dataset version", "9", str(dataset.version)]
    assert rows[1:] == [versions, ["images", "5", "8"], ["epochs", "3", "5"], ["code", "sha256:3", "sha256:5"]]


def test_a_champion_whose_run_is_gone_still_gets_a_successor_with_a_card(write, decide):
    champion = decide("old").candidate
    lost = champion.model.model_copy(update={"run_id": "0" * 32})
    assert "gone from MLflow" in write(decide(champion=champion.model_copy(update={"model": lost})))


def test_shows_measures_gates_slices_and_budgets(write, decide):
    slices = (
        SliceReport(name="by_source", value="left <b>", images=60, accuracy=0.9, enough=True),
        SliceReport(name="by_source", value="right", images=3, accuracy=1.0, enough=False),
    )
    budget = BudgetReport(latency_ms=1.234, images_per_second=900, model_mb=0.4, memory_mb=20)
    decision = change(
        decide(),
        measures={"log_loss": 0.123, "f1_0": 0.5, "recall_0": 0.7654},
        slices=slices,
        budget=budget,
        page="p/e/index.html",
    )
    gates = (GateConfig(measure="log_loss", max=0.2), GateConfig(measure="recall_0", min=0.7))
    page = write(
        decision, promotion=PromotionPolicy(gates=gates), evaluation=EvaluationConfig(max_latency_ms=5, slices=())
    )
    rows = read_rows(page)
    assert ["by_source", "left &lt;b&gt;", "60", "90.00 %", ""] in rows
    assert ["by_source", "right", "3", "too few to judge"] in rows
    assert ["one image, 95th percentile", "1.23 ms", "at most 5 ms"] in rows
    assert ["size", "0.40 MB", "none"] in rows
    assert "log_loss <em> &le; 0.2</em></span><b>0.1230</b>" in " ".join(page.split())
    assert "<b>0.7654</b>" in page
    assert "f1_0" not in page
    assert 'href="../../../../p/e/index.html"' in page


def test_names_who_approved_it_and_why(write, decide):
    at = datetime(2026, 11, 2, 10, 30, tzinfo=UTC)
    page = write(decide(), [ApprovalReport(approver="ada", reason="<b>read</b> it", at=at)])
    assert "Approved by <b>ada</b> on 2026-11-02 10:30 UTC: &lt;b&gt;read&lt;/b&gt; it" in page


def test_without_an_approval_the_owner_answers(write, decide):
    assert "ml-platform, who owns the project; no person was asked" in write(decide())


def test_says_what_it_is_for_and_what_has_no_answer(write, decide):
    ethics = EthicsConfig(harm="a letter goes astray")
    governance = GovernanceConfig(intended_use="reads postcodes", stakeholders=("writers", "readers"), ethics=ethics)
    page = write(decide(), governance=governance)
    rows = read_rows(page)
    assert ["intended use", "reads postcodes"] in rows
    assert ["stakeholders", "writers readers"] in rows
    assert ["What harm does a wrong answer do, and to whom?", "a letter goes astray"] in rows
    assert page.count("not answered") == 2 + len(EthicsConfig.model_fields) - 1


def test_mlflow_has_the_card_and_its_gist(write, decide, quick_project, tracking):
    decision = decide()
    page = write(decision)
    assert tracking.read_artifact(decision.candidate.model.run_id, "model_card/1.html").decode() == page
    with tracking.connect() as client:
        gist = client.get_model_version(quick_project.name, "1").description
    for fact in ("accuracy 99.00 %", "- accuracy 0.9900 is enough", "Intended use: Reads single handwritten digits"):
        assert fact in gist


def test_a_version_that_mlflow_does_not_have_is_reported(quick_project, store, tracking, decide):
    decision = decide()
    version = ModelVersionRef(model=decision.candidate.model, version=7, accuracy=0.99)
    with pytest.raises(ArtifactNotFoundError):
        write_model_card(version, decision, quick_project, store, tracking)


def test_needs_nothing_from_elsewhere(write, decide, tracking):
    decision = decide()
    run_id, test = decision.candidate.model.run_id, decision.candidate.test_digest
    with tracking.connect() as client:
        figure = draw_confusion(np.eye(2, dtype=np.int64), ["a", "b"], "t")
        for path in (CURVES, confusion_path(test), calibration_path(test)):
            client.log_figure(run_id, figure, path)
    page = write(decision)
    assert page.count('src="data:image/png;base64,') == 3
    assert not re.findall(r'(?:src|href)="(?!data:|http://127\.0\.0\.1:\d+/#/|\.\./\.\./)', page)
    assert "<script" not in page


def test_names_are_text_and_never_markup(write, decide):
    governance = GovernanceConfig(intended_use="<script>alert(2)</script>")
    page = write(decide(reasons=("<script>alert(1)</script>",)), governance=governance)
    assert "<script>" not in page
    assert "&lt;b&gt;" in page


def test_a_run_without_figures_is_admitted(write, decide):
    assert write(decide()).count("not recorded in the run") == 3
