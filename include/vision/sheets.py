"""The sheet beside a model from elsewhere: what its file does not say about itself."""

from typing import Annotated, Literal, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from include.contracts import Contract
from include.errors import ContractViolationError
from include.project import StrictLoader, explain

MAX_BYTES = 100_000
MAX_LISTS = 20
LISTS = (
    yaml.FlowSequenceStartToken,
    yaml.FlowMappingStartToken,
    yaml.BlockSequenceStartToken,
    yaml.BlockMappingStartToken,
)

Colours = tuple[float, float, float]
Spread = Annotated[float, Field(gt=0)]


class ImportConfig(Contract):
    """How a model from elsewhere wants its images, how to read its answers, and where it comes from."""

    architecture: str = Field(default="", description="Of safetensors: `small_cnn` or torchvision's name.")
    image_size: int = Field(ge=16, le=1024, description="Square side that images are resized to, in pixels.")
    mean: Colours = Field(description="Taken from red, green and blue, which run from 0 to 1.")
    std: tuple[Spread, Spread, Spread] = Field(description="What is left is divided by it.")
    channels: Literal["rgb", "bgr"] = "rgb"
    layout: Literal["nchw", "nhwc"] = "nchw"
    output: Literal["logits", "probabilities"] = "logits"
    classes: tuple[str, ...] = Field(min_length=2, description="In the order of the outputs.")
    trained_by: str = Field(min_length=1, description="Who trained it.")
    trained_on: str = Field(min_length=1, description="On which images; were any of this project's test images seen?")

    @model_validator(mode="after")
    def _classes_differ(self) -> Self:
        if len(set(self.classes)) < len(self.classes):
            raise ValueError(f"classes {list(self.classes)} name a class twice")
        return self


def read_sheet(data: bytes, name: str) -> ImportConfig:
    """Read a sheet, YAML or JSON.

    :param name: Of the file, for messages.
    :raises ContractViolationError: it cannot be read, or a key is missing, unknown or impossible; it says which.
    """
    if len(data) > MAX_BYTES:
        raise ContractViolationError(f"{name}: {len(data):,} bytes are no sheet of {MAX_BYTES:,} at most")
    try:
        text = data.decode()
        _check_plain(text, name)
        return ImportConfig.model_validate(yaml.load(text, Loader=StrictLoader))  # noqa: S506 (a SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ContractViolationError(f"{name}: not readable as YAML: {' '.join(str(error).split())[:300]}") from error
    except ValidationError as error:
        raise ContractViolationError(f"{name}: {explain(error, ImportConfig)}") from error


def _check_plain(text: str, name: str) -> None:
    """Refuse what makes a reader of YAML run out of memory or stack: aliases of aliases, lists in lists in lists."""
    lists = 0
    for token in yaml.scan(text, Loader=StrictLoader):
        lists += isinstance(token, LISTS)
        if isinstance(token, yaml.AliasToken) or lists > MAX_LISTS:
            raise ContractViolationError(
                f"{name}: a sheet has at most {MAX_LISTS} lists and no aliases (*name); write values out"
            )
