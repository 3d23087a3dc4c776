"""Write a new project file: `make new-project NAME=... [IMAGES=...]`. Its DAGs appear with the next parse."""

import json
import re
import sys
from pathlib import Path

from include.errors import ProjectFileError, WindhoverError
from include.project import PROJECT_NAME, load_project
from include.settings import load_settings
from include.storage import write_atomically

_TEMPLATE = """\
# One vision problem. Every key, its default and its bounds: docs/project_file.md
name: {name}
title: {title}
owner: ml-platform

# What the model may answer. Labels of delivered images must be among these.
classes: {classes}

source:
{source}

data:
  formats: {formats}
  shards: 2               # parallel ingest tasks of one day
  max_quarantined: 0.10   # a larger share of unusable images fails the day

training:
  architecture: small_cnn # or any torchvision classifier, such as resnet18
  image_size: {side}          # square side, in pixels
  epochs: 20

promotion:
  min_accuracy: 0.85              # on the sealed test split
  min_worst_class_recall: 0.60
  max_accuracy_drop: 0.0          # on any other compared measure, against the model in service

# Goes onto the model card, which says what has no answer yet.
governance:
  intended_use: ""        # what the model is for, and who uses its answers
  out_of_scope: ""        # what it must not be used for
  limits: ""              # what is known not to work
  stakeholders: []        # whom the answers concern
  ethics:
    people: ""            # who is to be seen in the images, and did they agree?
    sensitive: ""         # what in the data is sensitive, such as faces or health?
    harm: ""              # what harm does a wrong answer do, and to whom?
    fairness: ""          # who may be served worse than others, and how is that measured?
    misuse: ""            # what could the model be abused for, and what stands against it?
    oversight: ""         # who can overrule an answer, and how?
  approval: auto          # or first_release, always: a human approves, and everything above needs an answer

monitoring:
  min_predictions: 60           # fewer in a window prove nothing
  false_alarms_per_quarter: 1   # episodes of drift that is none, at most, on average
"""

_DROP_FOLDER = """\
  # A folder a day in the landing place, <landing>/{name}/<YYYY-MM-DD>/: images/, manifest.csv and maybe labels.csv; the
  # file _SUCCESS says that it is complete. Archives, object stores, lists of URLs and more: docs/project_file.md
  layout: manifest
  complete: marker"""

_CLASS_FOLDERS = """\
  # One folder per class. Every run takes it as it is, once nothing has come for a minute.
  uri: {uri}
  layout: class_folders
  complete: quiet
  quiet_seconds: 60"""

# Folders that other tools expect; here, splits are made by the pipeline.
_SPLITS = {"train", "training", "val", "valid", "validation", "test"}


def write_project(name: str, folder: Path, images: Path | None = None) -> Path:
    """Write the file of a new project and return its path; an existing one is never touched.

    :param images: Folder with one folder of images per class; without it, the project waits for daily deliveries.
    :raises ProjectFileError: the name is none, the file is there, or the folder has no classes.
    """
    if not re.fullmatch(PROJECT_NAME, name):
        raise ProjectFileError(
            f"{name!r} is no project name: a small letter, then at most 39 small letters, digits or underscores; "
            "`make new-project NAME=street_signs`"
        )
    path = folder / f"{name}.yaml"
    if path.exists():
        raise ProjectFileError(f"{path} is there already; edit it, or choose another name")
    choices = {"name": name, "title": name.replace("_", " ").capitalize()}
    choices |= _describe_images(images) if images else _describe_deliveries(name)
    write_atomically(path, _TEMPLATE.format(**choices).encode())
    try:
        load_project(path)
    except ProjectFileError:
        path.unlink()
        raise
    return path


def _describe_deliveries(name: str) -> dict[str, str]:
    source = _DROP_FOLDER.format(name=name)
    return {"classes": '["no", "yes"]', "source": source, "formats": "[PNG, JPEG]", "side": "32"}


def _describe_images(images: Path) -> dict[str, str]:
    if not images.is_dir():
        raise ProjectFileError(f"no folder {images}; name one that holds a folder of images per class")
    images = images.resolve()
    classes = sorted(path.name for path in images.iterdir() if path.is_dir() and not path.name.startswith("."))
    if _SPLITS.issuperset(classes) and classes:
        raise ProjectFileError(
            f"{images} holds {', '.join(classes)}, which are splits and no classes; put the folders of their classes "
            "together, for the pipeline divides the images itself"
        )
    if len(classes) < 2:
        raise ProjectFileError(f"{images} holds {len(classes)} folders; a project needs one for each of two classes")
    # JSON strings are YAML strings, whatever stands in them.
    source = _CLASS_FOLDERS.format(uri=json.dumps(str(images)))
    return {"classes": json.dumps(classes), "source": source, "formats": "[PNG, JPEG, WEBP, BMP]", "side": "64"}


def main() -> int:
    """Write the project named on the command line."""
    try:
        name, *images = sys.argv[1:]
        path = write_project(name, load_settings().projects, *map(Path, images))
    except WindhoverError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    sys.stdout.write(f"wrote {path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
