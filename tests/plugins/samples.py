"""One valid contract of every kind, for the project `digits`."""

from datetime import UTC, datetime

from include.contracts import (
    ActionDecision,
    BatchRef,
    BatchReport,
    BatchShardRef,
    ComparisonReport,
    DatasetRef,
    DiagnosisReport,
    DriftReport,
    EpisodeReport,
    EvaluationReport,
    ExpectationReport,
    ModelRef,
    ModelVersionRef,
    PerformanceReport,
    ProfileReport,
    PromotionDecision,
    ReleaseRef,
    RolloutRef,
    RolloutReport,
    ShardRef,
    ShardReport,
    StrategyDecision,
    ValidationReport,
)

DAY = "2026-11-20"
START, END = datetime(2026, 11, 20, 9, tzinfo=UTC), datetime(2026, 11, 20, 10, tzinfo=UTC)


def digest(letter: str) -> str:
    """A digest of one letter."""
    return f"sha256:{letter * 64}"


BATCH = BatchRef(project="digits", partition=DAY, uri=f"/landing/digits/{DAY}", images=3)
SHARD = ShardRef(batch=BATCH, index=0, count=1)
SHARD_REPORT = ShardReport(
    shard=SHARD, address="digits/staging/s", digest=digest("a"), seen=3, accepted=3, duplicates=0, quarantined=0
)
VALIDATION = ValidationReport(
    project="digits",
    partition=DAY,
    address="digits/staging/v",
    digest=digest("b"),
    seen=3,
    accepted=3,
    duplicates=0,
    quarantined=0,
    success=True,
    data_docs=f"digits/reports/data_docs/{DAY}/index.html",
)
BROKEN = ExpectationReport(expectation="expect_unique", column="source", success=False, unexpected=1, rows=("a.png",))
DATASET = DatasetRef(
    project="digits", address="digits/images.lance", version=1, digest=digest("c"), images=3, labelled=2
)
MODEL = ModelRef(project="digits", key=digest("d"), run_id="run1", weights=digest("e"), dataset=DATASET)
CHAMPION = ModelRef(project="digits", key=digest("0"), run_id="run0", weights=digest("f"), dataset=DATASET)


def evaluate(model: ModelRef, accuracy: float) -> EvaluationReport:
    """Report an accuracy on one test split."""
    return EvaluationReport(
        model=model,
        test_digest=digest("9"),
        images=100,
        accuracy=accuracy,
        macro_f1=accuracy,
        worst_class_recall=accuracy,
        recall_by_class={"0": accuracy},
        accuracy_by_partition={DAY: accuracy},
        page=f"{model.project}/reports/evaluation/{model.run_id}/index.html",
    )


EVALUATION = evaluate(MODEL, 0.95)
BETTER = ComparisonReport(measure="accuracy", better="higher", candidate=0.95, champion=0.9, low=0.01, high=0.09)
PROMOTION = PromotionDecision(verdict="promote", candidate=EVALUATION, reasons=("better",))
REJECTION = PromotionDecision(verdict="reject", candidate=evaluate(MODEL, 0.5), reasons=("accuracy 0.50", "too low"))
VERSION = ModelVersionRef(model=MODEL, version=3, accuracy=0.95)
RELEASE = ReleaseRef(model=VERSION, address="digits/releases/1", digest=digest("1"), parity=0.0)
BATCH_SHARD = BatchShardRef(dataset=DATASET, partition=DAY, release=RELEASE, index=0, count=1)
BATCH_REPORT = BatchReport(
    dataset=DATASET,
    partition=DAY,
    release=RELEASE.digest,
    model_version=3,
    address=f"digits/batch_predictions/{DAY}/k",
    page=f"digits/reports/batch_predictions/{DAY}/k/index.html",
    digest=digest("8"),
    images=3,
)
ROLLOUT = RolloutRef(id=1, release=RELEASE)
STRATEGY = StrategyDecision(strategy="canary", recommended="direct", reasons=("the form asks for canary",))
PROMOTED = RolloutReport(rollout=ROLLOUT, verdict="promote", requests=200, reasons=("every gate is passed",))
HARM = RolloutReport(rollout=ROLLOUT, verdict="roll_back", reasons=("golden image 3 differs", "by 0.2"))
PROFILE = ProfileReport(
    project="digits", start=START, end=END, release=digest("1"), predictions=200, address="digits/profiles/p.parquet"
)
DRIFT = DriftReport(
    project="digits",
    start=START,
    end=END,
    release=digest("1"),
    verdict="drift",
    predictions=200,
    summary="drift: sharpness differs",
    report="digits/reports/drift/1/index.html",
)
STABLE = DRIFT.model_copy(update={"verdict": "stable", "summary": "stable: no feature differs", "report": None})
PERFORMANCE = PerformanceReport(project="digits", start=START, end=END, predictions=200, labelled=0)
DEGRADED = PERFORMANCE.model_copy(update={"verdict": "degraded", "labelled": 200, "summary": "degraded: 12 % lost"})
EPISODE = EpisodeReport(
    id=7, project="digits", state="open", trigger="drift", opened_at=END, closed_at=None, windows=1, drift=DRIFT
)
DIAGNOSIS = DiagnosisReport(
    project="digits",
    episode=7,
    cause="camera_fault",
    name="camera: blurred lens",
    scores={"camera_fault": 1.0},
    evidence=("sharpness is halved",),
)
DECISION = ActionDecision(project="digits", episode=7, cause="camera_fault", action="retrain", reasons=("policy",))
