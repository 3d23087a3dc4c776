"""The page about one's own images keeps its word: a folder of class folders and one YAML file, no code."""

import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageDraw
from typer.testing import CliRunner

from include.cli.verbs import app
from include.data import arrivals
from include.project import load_project
from include.settings import REPOSITORY

PAGE = (REPOSITORY / "docs" / "own_images.md").read_text()
PETALS = {"daisy": (240, 240, 235), "rose": (190, 20, 45), "tulip": (235, 190, 30)}
EACH = 60


def take_picture(path: Path, colour: tuple[int, int, int], rng: np.random.Generator) -> None:
    """Write a flower of some colour, somewhere before some leaves."""
    image = Image.fromarray(rng.integers(30, 110, (80, 96, 3), dtype=np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(6):
        draw.line(rng.integers(0, 96, 4).tolist(), fill=(20, int(rng.integers(60, 160)), 30), width=5)
    x, y, radius = rng.integers(26, 62), rng.integers(26, 54), rng.integers(12, 24)
    draw.ellipse([int(x - radius), int(y - radius), int(x + radius), int(y + radius)], fill=colour)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, quality=92)


def take_pictures(flowers: Path, numbers: range, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for name, colour in PETALS.items():
        for number in numbers:
            take_picture(flowers / name / f"{number:03}.jpg", colour, rng)


@pytest.fixture
def flowers(tmp_path, monkeypatch, ledger):
    """Images in one folder per class, on a machine without projects."""
    take_pictures(tmp_path / "flowers", range(EACH), seed=7)
    places = {name: str(tmp_path / name.lower()) for name in ("HOME", "STORE", "LANDING", "PROJECTS")}
    places["LEDGER_URI"] = ledger.url.render_as_string(hide_password=False)
    for name, value in places.items():
        monkeypatch.setenv(f"WINDHOVER_{name}", value)
    return tmp_path / "flowers"


@pytest.fixture
def project_file(flowers, tmp_path):
    """What `make new-project` writes."""
    command = [sys.executable, "-m", "deploy.new_project", "flowers", str(flowers)]
    subprocess.run(command, cwd=REPOSITORY, env=os.environ, check=True)
    return tmp_path / "projects" / "flowers.yaml"


@pytest.fixture
def invoke(project_file, monkeypatch):
    """Call a verb as the page does, a minute after the last image came."""
    clock = SimpleNamespace(time=lambda: time.time() + load_project(project_file).source.quiet_seconds)
    monkeypatch.setattr(arrivals, "time", clock)

    def call(verb, *words):
        ended = CliRunner().invoke(app, [verb, "--project", "flowers", "--json", *map(str, words)])
        assert ended.exit_code == 0, ended.output
        return json.loads(ended.stdout)

    return call


def read_manifest(folder):
    return {row["digest"]: row for row in pq.read_table(folder / "manifest.parquet").to_pylist()}


def test_the_page_shows_the_file_that_is_written(project_file, flowers):
    shown = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[1]
    assert shown == project_file.read_text().replace(str(flowers), "/data/flowers")
    assert "make new-project NAME=flowers IMAGES=/data/flowers" in PAGE


def test_the_images_become_a_dataset_and_later_ones_only_add_to_it(invoke, flowers, tmp_path):
    (flowers / "rose" / "notes.txt").write_text("bought on Tuesday")
    first = invoke("ingest")
    assert (first["images"], first["labelled"]) == (3 * EACH, 3 * EACH)
    assert invoke("ingest") == first

    invoke("export", tmp_path / "before")
    before = read_manifest(tmp_path / "before")
    assert Counter(row["label"] for row in before.values()) == dict.fromkeys(PETALS, EACH)
    assert {row["partition"] for row in before.values()} == {"snapshot"}
    shares = {name: count / len(before) for name, count in Counter(row["split"] for row in before.values()).items()}
    assert shares == pytest.approx({"train": 0.60, "validation": 0.15, "test": 0.25}, abs=0.1)

    take_pictures(flowers, range(EACH, EACH + 5), seed=8)
    second = invoke("ingest")
    change = invoke("diff", first["version"], second["version"])
    assert (len(change["added"]), change["removed"], change["relabelled"]) == (15, [], {})
    invoke("export", tmp_path / "after")
    after = read_manifest(tmp_path / "after")
    assert {digest: row["split"] for digest, row in after.items() if digest in before} == {
        digest: row["split"] for digest, row in before.items()
    }
    assert set(after) - set(before) == set(change["added"])


def test_moving_a_file_relabels_and_deleting_one_removes(invoke, flowers):
    first = invoke("ingest")
    (flowers / "rose" / "000.jpg").rename(flowers / "tulip" / "rose-000.jpg")
    (flowers / "daisy" / "000.jpg").unlink()
    change = invoke("diff", first["version"], invoke("ingest")["version"])
    assert (change["added"], len(change["removed"])) == ([], 1)
    assert list(change["relabelled"].values()) == [["rose", "tulip"]]


def test_a_model_is_trained_judged_and_registered(invoke, monkeypatch, mlflow_uri):
    monkeypatch.setenv("WINDHOVER_MLFLOW_URI", mlflow_uri)
    dataset = invoke("ingest")
    candidate = invoke("train")
    assert candidate["dataset"] == dataset
    decision = invoke("decide")
    assert decision["verdict"] == "promote", decision
    version = invoke("register")
    assert (version["version"], version["model"]["key"]) == (1, candidate["key"])
