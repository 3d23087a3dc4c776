"""Section `source` of a project file."""

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from include.contracts import Contract

_SCHEMES = ("file", "s3", "gs", "az", "http", "https", "torchvision")


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
    marker: str = Field(default="_SUCCESS", pattern=r"^[^/]+$", description="File that says a delivery is complete.")
    quiet_seconds: int = Field(default=60, ge=1, description="`quiet`: age of the youngest file of the delivery.")
    count: int = Field(default=1, ge=1, description="`count`: files below the delivery's images.")
    group_pattern: str = Field(
        default="",
        description="Regular expression searched in an image's path; what its first parentheses match is its group.",
    )
    licence: str = Field(default="", description="Licence of the images: its SPDX name, or a sentence.")
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
    def _fits_its_kind(self) -> "SourceConfig":
        if self.layout != "manifest" and self.kind in {"list", "dataset"}:
            raise ValueError(f"a {self.kind} says itself what it holds; leave layout out")
        if self.complete == "count" and self.kind != "folder":
            raise ValueError("count counts the files of a folder; an archive or a list is complete by marker or quiet")
        return self
