"""What a scientist chooses: the other sections of a project file, and the file as a whole."""

from typing import Literal

from pydantic import Field, model_validator

from include.contracts import Contract, Fraction
from include.project.deployment import DeploymentPolicy
from include.project.governance import GovernanceConfig
from include.project.learning import EvaluationConfig, PromotionPolicy, TrainingConfig
from include.project.monitoring import MonitoringPolicy
from include.project.source import SourceConfig
from include.project.tuning import TuningConfig

PROJECT_NAME = r"^[a-z][a-z0-9_]{0,39}$"


class DataConfig(Contract):
    """What is accepted, what is kept of it, and how it is split."""

    formats: tuple[Literal["PNG", "JPEG", "WEBP", "BMP"], ...] = Field(default=("PNG", "JPEG"), min_length=1)
    max_bytes: int = Field(default=10_000_000, ge=1, description="Largest image file, in bytes.")
    max_pixels: int = Field(default=25_000_000, ge=1, description="Largest image, in pixels, checked before decoding.")
    max_aspect: float = Field(default=20.0, ge=1, description="Longest side over shortest side.")
    keep_originals: bool = Field(default=False, description="Keep the delivered bytes, metadata included.")
    blur: tuple[str, ...] = Field(
        default=(), description="Regions to blur: `faces`, `plates`, or a detector of your own as `module:Class`."
    )
    blur_models: str = Field(default="", description="Folder with the detectors' model files; empty: those shipped.")
    near_duplicate_bits: int = Field(
        default=4, ge=0, le=6, description="Perceptual hashes at most this many of 64 bits apart may be twins; 0: off."
    )
    keep_versions_days: int = Field(default=30, ge=1, description="Age at which unused dataset versions are removed.")
    shards: int = Field(default=2, ge=1, le=64, description="Parallel ingest tasks of one partition.")
    max_quarantined: Fraction = Field(default=0.10, description="Share of a delivery in quarantine that fails it.")
    validation_share: Fraction = Field(default=0.15, description="Share of groups held out to choose weights.")
    test_share: Fraction = Field(default=0.25, description="Share of groups sealed for certification.")

    @model_validator(mode="after")
    def _something_is_left_to_train_on(self) -> "DataConfig":
        if self.validation_share + self.test_share >= 1:
            raise ValueError(
                f"validation_share {self.validation_share} and test_share {self.test_share} leave nothing to train on"
            )
        return self


class RegistryPolicy(Contract):
    """How long certified versions stay that nothing uses any more."""

    keep_versions: int = Field(default=5, ge=1, description="Newest versions that are never retired by themselves.")
    retire_days: int = Field(default=365, ge=1, description="Age at which versions out of use are archived, removed.")


class Project(Contract):
    """One vision problem, from classes to promotion policy."""

    name: str = Field(pattern=PROJECT_NAME)
    title: str = ""
    owner: str = "ml-platform"
    classes: tuple[str, ...] = Field(min_length=2)
    source: SourceConfig = SourceConfig()
    data: DataConfig = DataConfig()
    training: TrainingConfig = TrainingConfig()
    tuning: TuningConfig = TuningConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    promotion: PromotionPolicy = PromotionPolicy()
    governance: GovernanceConfig = GovernanceConfig()
    registry: RegistryPolicy = RegistryPolicy()
    deployment: DeploymentPolicy = DeploymentPolicy()
    monitoring: MonitoringPolicy = MonitoringPolicy()

    @model_validator(mode="after")
    def _classes_differ(self) -> "Project":
        if len(set(self.classes)) < len(self.classes):
            raise ValueError(f"classes {list(self.classes)} name a class twice")
        return self

    @model_validator(mode="after")
    def _costs_are_of_classes(self) -> "Project":
        costs = self.evaluation.costs
        unknown = sorted({*costs, *(name for row in costs.values() for name in row)} - set(self.classes))
        if unknown:
            raise ValueError(f"evaluation.costs names {', '.join(unknown)}; classes are {', '.join(self.classes)}")
        return self
