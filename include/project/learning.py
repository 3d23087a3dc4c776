"""How a model is trained, tuned and examined: the sections of a project file about learning."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from include.contracts import Contract, Fraction, TrainingMode


class AugmentationConfig(Contract):
    """How training images are varied; what is 0 or false stays as photographed."""

    rotate_degrees: float = Field(default=6.0, ge=0, le=180, description="Largest turn, either way.")
    scale: float = Field(default=0.06, ge=0, lt=1, description="Largest change of size, as a share.")
    shift: float = Field(default=0.06, ge=0, lt=1, description="Largest move, as a share of the side.")
    flip_horizontal: bool = Field(default=False, description="Mirror left and right: not where that changes the class.")
    flip_vertical: bool = Field(default=False, description="Mirror top and bottom.")
    brightness: float = Field(default=0.0, ge=0, lt=1, description="Largest change of brightness, as a share.")
    contrast: float = Field(default=0.0, ge=0, lt=1, description="Largest change of contrast, as a share.")
    blur: float = Field(default=0.0, ge=0, le=10, description="Largest sigma of a Gaussian blur, in pixels.")
    erase: Fraction = Field(default=0.0, description="Chance that a rectangle of an image is blanked.")
    mixup: float = Field(default=0.0, ge=0, le=10, description="Alpha of mix-up; 0: off.")
    cutmix: float = Field(default=0.0, ge=0, le=10, description="Alpha of cut-mix; 0: off.")


class TrainingConfig(Contract):
    """How one model is trained."""

    architecture: str = Field(default="small_cnn", description="`small_cnn` or any torchvision classifier's name.")
    weights: str = Field(
        default="", description="Pretrained: torchvision's name (`DEFAULT`, `IMAGENET1K_V2`) or a .safetensors file."
    )
    image_size: int = Field(default=32, ge=16, le=1024, description="Square side, in pixels.")
    epochs: int = Field(default=20, ge=1, le=1000)
    patience: int = Field(default=0, ge=0, description="Epochs without a better one after which to stop; 0: never.")
    batch_size: int = Field(default=64, ge=1, le=4096)
    learning_rate: float = Field(default=2e-3, gt=0, le=1)
    schedule: Literal["cosine", "one_cycle", "constant"] = "cosine"
    weight_decay: float = Field(default=1e-4, ge=0, le=1)
    label_smoothing: Fraction = 0.0
    dropout: float = Field(default=0.1, ge=0, lt=1, description="Of the head, where the architecture has one.")
    class_weights: Literal["equal", "balanced"] = Field(
        default="equal", description="`balanced`: a rare class counts as much as a frequent one."
    )
    augmentation: AugmentationConfig = AugmentationConfig()
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "float32", "mixed"] = Field(default="auto", description="`auto`: mixed on a GPU.")
    processes: int = Field(
        default=1, ge=1, le=64, description="Train in so many processes, each on a share of a batch."
    )
    compile: bool = Field(default=False, description="Compile the network where the device gains from it.")
    seed: int = Field(default=17, ge=0)
    mode: TrainingMode = Field(default="full", description="What it begins from, and which days it learns from.")
    recent_days: int = Field(default=90, ge=1, description="Newest days that `sliding_window` and `replay` learn from.")
    replay_share: float = Field(default=0.5, gt=0, lt=1, description="Share of older images in a `replay` mix.")
    min_images: int = Field(default=50, ge=2, description="Fewest labelled training images worth training on.")

    @model_validator(mode="after")
    def _every_process_has_images(self) -> "TrainingConfig":
        # The batches of an epoch are of even size, so that they may be half as big as batch_size.
        if self.processes > 1 and self.batch_size < 2 * self.processes:
            raise ValueError(f"batch_size {self.batch_size} is below twice the {self.processes} `processes` it is for")
        return self


def change_settings(training: TrainingConfig, settings: Mapping[str, Any]) -> TrainingConfig:
    """Return the section with other values of some settings, named with dots inside; it is validated anew.

    :raises ValueError: there is no such setting, or the value is impossible; it says which.
    """
    values = training.model_dump()
    for name, value in settings.items():
        section, last = _find_section(values, name)
        section[last] = value
    try:
        return TrainingConfig.model_validate(values)
    except ValidationError as error:
        reasons = {".".join(map(str, detail["loc"])): detail["msg"] for detail in error.errors()}
        raise ValueError("; ".join(f"{name}: {reason}" for name, reason in reasons.items())) from error


def read_setting(training: TrainingConfig, name: str) -> Any:
    """Return the value of one setting, named with dots inside.

    :raises ValueError: there is no such setting.
    """
    section, last = _find_section(training.model_dump(), name)
    return section[last]


def _find_section(values: dict[str, Any], name: str) -> tuple[dict[str, Any], str]:
    *path, last = name.split(".")
    section: Any = values
    for part in path:
        section = section.get(part) if isinstance(section, dict) else None
    if not isinstance(section, dict) or last not in section or isinstance(section[last], dict):
        raise ValueError(f"`training` has no setting {name!r}")
    return section, last


class SliceConfig(Contract):
    """Test images that are also judged by themselves."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")
    by: Literal["class", "source", "partition", "group", "brightness", "size"]
    min_images: int = Field(default=20, ge=1, description="Fewer images than this in a slice prove nothing.")


Cost = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class EvaluationConfig(Contract):
    """What is measured on the sealed test images, besides accuracy."""

    costs: dict[str, dict[str, Cost]] = Field(
        default={},
        description="Cost of calling a true class another one: true, then predicted; else 1, right 0.",
    )
    measures: tuple[str, ...] = Field(default=(), description="Measures of your own as `module:function`.")
    slices: tuple[SliceConfig, ...] = (SliceConfig(name="by_class", by="class", min_images=1),)
    flips_allowed: bool = Field(default=False, description="A mirrored image has the same class.")
    probe_images: int = Field(default=6, ge=0, le=64, description="Images that every model is explained on.")
    max_latency_ms: float | None = Field(default=None, gt=0, description="Budget of one image, 95th percentile, CPU.")
    max_model_mb: float | None = Field(default=None, gt=0, description="Budget of the exported model's size.")
    max_memory_mb: float | None = Field(default=None, gt=0, description="Budget of added memory while answering.")
    min_images_per_second: float | None = Field(default=None, gt=0, description="Budget of throughput, one thread.")

    @model_validator(mode="after")
    def _slices_differ(self) -> "EvaluationConfig":
        names = [one.name for one in self.slices]
        if len(set(names)) < len(names):
            raise ValueError(f"slices {names} use a name twice")
        return self


class GateConfig(Contract):
    """One measure that a candidate must reach."""

    measure: str = Field(description="Name of a measure of the evaluation, like `macro_f1` or `calibration_error`.")
    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _has_a_bound(self) -> "GateConfig":
        if self.min is None and self.max is None:
            raise ValueError(f"gate {self.measure!r} has neither `min` nor `max`")
        return self


class PromotionPolicy(Contract):
    """When a candidate may replace the champion."""

    min_accuracy: Fraction = 0.85
    min_worst_class_recall: Fraction = 0.60
    gates: tuple[GateConfig, ...] = ()
    better_on: str = Field(default="accuracy", description="Measure on which a candidate must beat the champion.")
    max_accuracy_drop: Fraction = Field(default=0.0, description="Margin of non-inferiority on every compared measure.")
    confidence: float = Field(default=0.95, ge=0.5, lt=1, description="Of the paired bootstrap intervals.")
    require_significance: bool = Field(
        default=True, description="Promote over a champion only where the interval excludes chance."
    )
