"""The values stages hand to each other: references, reports and decisions, never data.

`-Ref` points, `-Report` measures, `-Decision` rules. Every `address` is a path below the store URI, so that a
reference means the same on every machine that sees the store.
"""

from include.contracts.batch import BatchReport as BatchReport
from include.contracts.batch import BatchShardRef as BatchShardRef
from include.contracts.contract import Contract as Contract
from include.contracts.contract import Count as Count
from include.contracts.contract import Digest as Digest
from include.contracts.contract import Fraction as Fraction
from include.contracts.contract import PartitionKey as PartitionKey
from include.contracts.contract import QuarantineReason as QuarantineReason
from include.contracts.data import BatchRef as BatchRef
from include.contracts.data import DatasetDiffReport as DatasetDiffReport
from include.contracts.data import DatasetRef as DatasetRef
from include.contracts.data import ErasureReport as ErasureReport
from include.contracts.data import ErasureRequest as ErasureRequest
from include.contracts.data import ExpectationReport as ExpectationReport
from include.contracts.data import LineageReport as LineageReport
from include.contracts.data import PredictionLineageReport as PredictionLineageReport
from include.contracts.data import ShardRef as ShardRef
from include.contracts.data import ShardReport as ShardReport
from include.contracts.data import ValidationReport as ValidationReport
from include.contracts.governance import ApprovalReport as ApprovalReport
from include.contracts.governance import AuditKind as AuditKind
from include.contracts.governance import AuditReport as AuditReport
from include.contracts.governance import CheckReport as CheckReport
from include.contracts.governance import VerificationReport as VerificationReport
from include.contracts.learning import CueRemovalReport as CueRemovalReport
from include.contracts.learning import CueReport as CueReport
from include.contracts.learning import ShortcutReport as ShortcutReport
from include.contracts.models import BudgetReport as BudgetReport
from include.contracts.models import ComparisonReport as ComparisonReport
from include.contracts.models import EvaluationReport as EvaluationReport
from include.contracts.models import ModelRef as ModelRef
from include.contracts.models import ModelVersionRef as ModelVersionRef
from include.contracts.models import PromotionDecision as PromotionDecision
from include.contracts.models import SliceReport as SliceReport
from include.contracts.monitoring import DriftReport as DriftReport
from include.contracts.monitoring import FeatureDriftReport as FeatureDriftReport
from include.contracts.monitoring import PerformanceReport as PerformanceReport
from include.contracts.monitoring import ProfileReport as ProfileReport
from include.contracts.monitoring import RetrainingRequest as RetrainingRequest
from include.contracts.releases import MetricReport as MetricReport
from include.contracts.releases import RecordingPolicy as RecordingPolicy
from include.contracts.releases import ReleasePlan as ReleasePlan
from include.contracts.releases import ReleaseRef as ReleaseRef
from include.contracts.releases import ReplicaReport as ReplicaReport
from include.contracts.releases import RolloutRef as RolloutRef
from include.contracts.releases import RolloutReport as RolloutReport
from include.contracts.releases import Strategy as Strategy
from include.contracts.releases import StrategyDecision as StrategyDecision
from include.contracts.releases import Variant as Variant
from include.contracts.releases import Verdict as Verdict
from include.contracts.tuning import FoldReport as FoldReport
from include.contracts.tuning import ReproductionReport as ReproductionReport
from include.contracts.tuning import StudyReport as StudyReport
