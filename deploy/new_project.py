"""Write a new project file: `make new-project NAME=...`. Its DAGs appear with the next parse."""

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

# What the model may answer. Labels in the drop folder must be among these.
classes: ["no", "yes"]

data:
  # Deliveries are expected in <landing folder>/{name}/<YYYY-MM-DD>/; the file _SUCCESS says that one is complete.
  formats: [PNG, JPEG]
  shards: 2               # parallel ingest tasks of one day
  max_quarantined: 0.10   # a larger share of unusable images fails the day

training:
  architecture: small_cnn # or any torchvision classifier, such as resnet18
  image_size: 32          # square side, in pixels
  epochs: 20

promotion:
  min_accuracy: 0.85              # on the sealed test split
  min_worst_class_recall: 0.60
  max_accuracy_drop: 0.0          # against the model in service, on the same images

monitoring:
  min_predictions: 60     # fewer in a window prove nothing
  false_alarm_rate: 0.01  # of a healthy window
"""


def write_project(name: str, folder: Path) -> Path:
    """Write the file of a new project and return its path; an existing one is never touched."""
    if not re.fullmatch(PROJECT_NAME, name):
        raise ProjectFileError(
            f"{name!r} is no project name: a small letter, then at most 39 small letters, digits or underscores; "
            "`make new-project NAME=street_signs`"
        )
    path = folder / f"{name}.yaml"
    if path.exists():
        raise ProjectFileError(f"{path} is there already; edit it, or choose another name")
    write_atomically(path, _TEMPLATE.format(name=name, title=name.replace("_", " ").capitalize()).encode())
    load_project(path)
    return path


def main() -> int:
    """Write the project named on the command line."""
    try:
        path = write_project(" ".join(sys.argv[1:]), load_settings().projects)
    except WindhoverError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    sys.stdout.write(f"wrote {path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
