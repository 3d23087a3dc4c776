"""The project file: every scientific choice, validated once, logged with every run."""

import re
from difflib import get_close_matches
from pathlib import Path
from textwrap import shorten
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from include.contracts import Contract, Fraction
from include.errors import ProjectFileError

# Every task parses its DAG file; in C that is ten times as fast.
_FAST_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SCHEMES = ("file", "s3", "gs", "az", "http", "https", "torchvision")
PROJECT_NAME = r"^[a-z][a-z0-9_]{0,39}$"


class SourceConfig(Contract):
    """Where deliveries come from, how they are laid out, and when one is complete."""

    uri: str = Field(
        default="",
        description="Folder, object store prefix, archive, list of URLs or `torchvision://<data set>`; `{partition}` "
        "stands for the day. Without it the whole source is one partition, `snapshot`. Empty: the drop folder.",
    )
    layout: Literal["manifest", "class_folders", "coco"] = Field(
        default="manifest", description="How a delivery says what its files are."
    )
    complete: Literal["marker", "quiet", "count"] = Field(default="marker", description="Rule of a complete delivery.")
    marker: str = Field(
        default="_SUCCESS", pattern=r"^[^/]+$", description="Name of the file that says a delivery is complete."
    )
    quiet_seconds: int = Field(default=60, ge=1, description="`quiet`: age of the youngest file of the delivery.")
    count: int = Field(default=1, ge=1, description="`count`: files below the delivery's images.")
    group_pattern: str = Field(
        default="",
        description="Regular expression searched in an image's path; what its first parentheses match is its group.",
    )
    frame_seconds: float = Field(
        default=0.0, ge=0, le=3600, description="Video files become one frame every so many seconds; 0: never."
    )

    @property
    def snapshot(self) -> bool:
        """Tell whether the whole source is one partition."""
        return bool(self.uri) and "{partition}" not in self.uri

    @property
    def kind(self) -> Literal["folder", "archive", "list", "dataset"]:
        """Tell what the source is, by its URI."""
        if self.uri.startswith("torchvision://"):
            return "dataset"
        if self.uri.endswith((".zip", ".tar", ".tar.gz", ".tgz")):
            return "archive"
        return "list" if self.uri.endswith(".csv") else "folder"

    @field_validator("uri")
    @classmethod
    def _can_be_reached(cls, uri: str) -> str:
        scheme, separator, path = uri.partition("://")
        if separator and scheme not in _SCHEMES:
            raise ValueError(f"no source {scheme}://; known are a path, {', '.join(f'{name}://' for name in _SCHEMES)}")
        if scheme in {"http", "https"} and not uri.endswith(".csv"):
            raise ValueError("over HTTP only a list of URLs can be read, a file that ends in .csv")
        if re.search(r"[{}]", uri.replace("{partition}", "")):
            raise ValueError("only {partition} stands for something")
        if ".." in (path if separator else uri).split("/"):
            raise ValueError("name the place itself, without ..")
        return uri

    @field_validator("group_pattern")
    @classmethod
    def _names_a_group(cls, pattern: str) -> str:
        try:
            groups = re.compile(pattern).groups
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        if pattern and not groups:
            raise ValueError("put the part that names the group into parentheses, as in ([^/_]+)_[^/]*$")
        return pattern

    @model_validator(mode="after")
    def _says_itself_what_it_holds(self) -> "SourceConfig":
        if self.layout != "manifest" and self.kind in {"list", "dataset"}:
            raise ValueError(f"a {self.kind} says itself what it holds; leave layout out")
        return self

    @model_validator(mode="after")
    def _can_be_complete(self) -> "SourceConfig":
        if self.complete == "count" and self.kind != "folder":
            raise ValueError("count counts the files of a folder; an archive or a list is complete by marker or quiet")
        return self


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


class TrainingConfig(Contract):
    """How one model is trained."""

    architecture: str = Field(default="small_cnn", description="`small_cnn` or any torchvision classifier's name.")
    image_size: int = Field(default=32, ge=16, le=1024, description="Square side, in pixels.")
    epochs: int = Field(default=20, ge=1, le=1000)
    batch_size: int = Field(default=64, ge=1, le=4096)
    learning_rate: float = Field(default=2e-3, gt=0, le=1)
    weight_decay: float = Field(default=1e-4, ge=0, le=1)
    seed: int = Field(default=17, ge=0)
    min_images: int = Field(default=50, ge=2, description="Fewest labelled training images worth training on.")


class PromotionPolicy(Contract):
    """When a candidate may replace the champion."""

    min_accuracy: Fraction = 0.85
    min_worst_class_recall: Fraction = 0.60
    max_accuracy_drop: Fraction = Field(default=0.0, description="Tolerated drop against the champion, same test set.")


class DeploymentPolicy(Contract):
    """How a release goes into service."""

    max_parity_difference: float = Field(default=1e-4, gt=0, description="Largest difference in probability.")
    golden_images: int = Field(default=16, ge=1, description="Images a release must answer right before traffic.")
    ready_seconds: int = Field(default=60, ge=1, description="Time a release has to come up healthy.")


class MonitoringPolicy(Contract):
    """What counts as drift."""

    window_minutes: int = Field(default=60, ge=1, description="Length of the window of a check started by hand.")
    min_predictions: int = Field(default=60, ge=10, description="Fewer predictions than this prove nothing.")
    false_alarm_rate: float = Field(default=0.01, gt=0, lt=1, description="Chance of an alarm per healthy window.")
    wait_minutes: int = Field(default=50, ge=1, description="How long the drift sensor waits for enough evidence.")


class _StrictLoader(_FAST_LOADER):  # type: ignore[misc, valid-type]
    """Refuses a key given twice, of which YAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for (key, _), value in zip(node.value, keys, strict=True):
            if keys.count(value) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"key {value!r} is given twice", key.start_mark)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return mapping


class Project(Contract):
    """One vision problem, from classes to promotion policy."""

    name: str = Field(pattern=PROJECT_NAME)
    title: str = ""
    owner: str = "ml-platform"
    classes: tuple[str, ...] = Field(min_length=2)
    source: SourceConfig = SourceConfig()
    data: DataConfig = DataConfig()
    training: TrainingConfig = TrainingConfig()
    promotion: PromotionPolicy = PromotionPolicy()
    deployment: DeploymentPolicy = DeploymentPolicy()
    monitoring: MonitoringPolicy = MonitoringPolicy()

    @model_validator(mode="after")
    def _classes_differ(self) -> "Project":
        if len(set(self.classes)) < len(self.classes):
            raise ValueError(f"classes {list(self.classes)} name a class twice")
        return self


def load_project(path: Path) -> Project:
    """Read a project file; an unknown or impossible setting is a `ProjectFileError` that says where and what."""
    try:
        document = yaml.load(path.read_text(), Loader=_StrictLoader)  # noqa: S506 (a SafeLoader)
    except FileNotFoundError as error:
        raise ProjectFileError(f"no project file {path}; `make new-project NAME={path.stem}` writes one") from error
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise ProjectFileError(f"{path}: not readable as YAML: {' '.join(str(error).split())}") from error
    if not isinstance(document, dict):
        raise ProjectFileError(f"{path}: holds {_describe(document)}; expected keys such as `name:` and `classes:`")
    try:
        project = Project.model_validate(document)
    except ValidationError as error:
        raise ProjectFileError(f"{path}: {explain(error, Project)}") from error
    if project.name != path.stem:
        raise ProjectFileError(f"{path}: name is {project.name!r}; a project is named like its file, {path.stem!r}")
    return project


def load_projects(folder: Path) -> tuple[list[Project], list[ProjectFileError]]:
    """Read every project file of a folder, in name order: the valid projects, and what is wrong with the others."""
    projects, problems = [], []
    for path in sorted(folder.glob("*.yaml")):
        try:
            projects.append(load_project(path))
        except ProjectFileError as error:
            problems.append(error)
    return projects, problems


def _describe(document: object) -> str:
    return "nothing" if document is None else f"a {type(document).__name__}"


def explain(error: ValidationError, model: type[Contract]) -> str:
    """Say in one line which keys are wrong, and what was probably meant."""
    return "; ".join(_explain_one(detail, model) for detail in error.errors())


def _explain_one(detail: Any, model: type[Contract]) -> str:
    where = ".".join(str(part) for part in detail["loc"]) or "file"
    if detail["type"] == "missing":
        return f"{where}: required, but not there"
    if detail["type"] != "extra_forbidden":
        return f"{where}: {detail['msg']} (got {shorten(repr(detail['input']), 80)})"
    known = list(_fields_at(detail["loc"][:-1], model))
    close = get_close_matches(str(detail["loc"][-1]), known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(known)}"
    return f"{where}: unknown key; {hint}"


def _fields_at(location: tuple[str | int, ...], model: type[Contract]) -> dict[str, Any]:
    fields: dict[str, Any] = dict(model.model_fields)
    for part in location:
        annotation = fields[str(part)].annotation
        fields = dict(annotation.model_fields)
    return fields
