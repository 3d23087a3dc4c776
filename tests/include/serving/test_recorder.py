import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pyarrow.parquet as pq
import pytest

from include.predictions import COMPARISONS, PREDICTIONS, read_feedback, read_predictions
from include.serving.recorder import Recorder
from include.settings import REPOSITORY
from include.storage import Store

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DIE = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from include.serving.recorder import Recorder
from include.storage import Store
recorder = Recorder(Path(sys.argv[1]), Store(sys.argv[2]))
noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
for number in range(50):
    recorder.append("feedback", [{"request_id": str(number), "time": noon, "project": "digits", "label": "3"}])
os.kill(os.getpid(), signal.SIGKILL)
"""


def label(request_id, time=NOON, project="digits"):
    return {"request_id": request_id, "time": time, "project": project, "label": "3"}


def ids(store, project="digits"):
    addresses = store.list(f"{project}/feedback", "*.parquet")
    return sorted(name for a in addresses for name in pq.read_table(store.fetch(a))["request_id"].to_pylist())


@pytest.fixture
def recorder(tmp_path, store):
    return Recorder(tmp_path / "segments", store)


def run_once(recorder):
    recorder.start()
    recorder.stop()


def test_rows_reach_the_log_by_kind_project_and_day(recorder, store):
    recorder.append("feedback", [label("a")])
    recorder.append("feedback", [label("b", NOON + timedelta(days=1))])
    recorder.append("feedback", [label("c", project="defects")])
    prediction = {"request_id": "d", "time": NOON, "project": "digits", "probabilities": [0.5, 0.5], "confidence": 0.5}
    recorder.append("predictions", [prediction])
    run_once(recorder)
    assert ids(store) == ["a", "b"]
    assert ids(store, "defects") == ["c"]
    rows = read_predictions(store, "digits", NOON, NOON + timedelta(hours=1)).to_pylist()
    assert [(row["request_id"], row["time"], row["probabilities"]) for row in rows] == [("d", NOON, [0.5, 0.5])]
    assert recorder.count_segments() == 0


def test_every_column_of_the_log_comes_through(recorder, store):
    """What the judge and monitoring read is what serving wrote, floats of embeddings too."""
    prediction = {
        **dict.fromkeys(PREDICTIONS.names),
        "request_id": "a",
        "project": "digits",
        "time": NOON,
        "revision": 3,
        "variant": "candidate",
        "answered_by": "champion",
        "failed": "candidate: no number",
        "key": "ab",
        "embedding": [0.5, -1.25],
    }
    comparison = {
        **dict.fromkeys(COMPARISONS.names),
        "request_id": "a",
        "project": "digits",
        "time": NOON,
        "champion_ms": 1.5,
        "difference": 0.25,
    }
    recorder.append("predictions", [prediction])
    recorder.append("comparisons", [comparison])
    run_once(recorder)
    for kind, row in (("predictions", prediction), ("comparisons", comparison)):
        (address,) = store.list(f"digits/{kind}/2026-03-01", "*.parquet")
        assert pq.read_table(store.fetch(address)).to_pylist() == [row]


def test_a_killed_process_loses_nothing(tmp_path, store):
    command = [sys.executable, "-c", DIE, str(tmp_path / "segments"), store.root]
    assert subprocess.run(command, cwd=REPOSITORY, check=False).returncode == -9
    run_once(Recorder(tmp_path / "segments", store))
    assert ids(store) == sorted(map(str, range(50)))


def test_replay_after_a_crash_between_publishing_and_deleting_doubles_nothing(recorder, store, tmp_path):
    recorder.append("feedback", [label("a")])
    (segment,) = (tmp_path / "segments").glob("*.jsonl")
    content = segment.read_bytes()
    run_once(recorder)
    segment.write_bytes(content)
    run_once(Recorder(tmp_path / "segments", store))
    assert ids(store) == ["a"]


def test_segments_of_a_living_process_are_left_alone(recorder, store, tmp_path):
    recorder.append("feedback", [label("a")])
    run_once(Recorder(tmp_path / "segments", store))
    assert ids(store) == []
    recorder.append("feedback", [label("b")])
    run_once(recorder)
    assert ids(store) == ["a", "b"]


def test_keeps_segments_while_the_store_is_away(tmp_path, store):
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the store should be")
    recorder = Recorder(tmp_path / "segments", Store(str(blocked)))
    recorder.append("feedback", [label("a")])
    run_once(recorder)
    assert recorder.count_segments() == 1
    run_once(Recorder(tmp_path / "segments", store))
    assert ids(store) == ["a"]


def test_a_torn_line_is_set_aside_and_the_rest_published(recorder, store, tmp_path):
    recorder.append("feedback", [label("a")])
    (segment,) = (tmp_path / "segments").glob("*.jsonl")
    with segment.open("ab") as file:
        file.write(b'{"kind": "feedback", "request')
    run_once(recorder)
    assert ids(store) == ["a"]
    assert [path.name for path in segment.parent.iterdir()] == [f"{segment.stem}.torn"]


def test_a_short_write_leaves_nothing_of_the_row(recorder, store, monkeypatch):
    recorder.append("feedback", [label("a")])
    write = sys.modules["os"].write
    with monkeypatch.context() as patch:
        patch.setattr("include.serving.recorder.os.write", lambda file, line: write(file, line[:10]))
        with pytest.raises(OSError, match="disk full"):
            recorder.append("feedback", [label("b")])
    recorder.append("feedback", [label("c")])
    run_once(recorder)
    assert ids(store) == ["a", "c"]
    assert read_feedback(store, "digits", NOON).num_rows == 2
