import json
import signal
import subprocess
import sys

import pytest

from include.data import chunks
from include.data.chunks import Workplace, decode_chunk
from include.data.sources.folders import open_folder
from include.errors import ContractViolationError
from include.project import DataConfig
from include.settings import REPOSITORY
from include.storage import digest_bytes
from include.vision.decoding import encode_canonical


@pytest.fixture
def folder(tmp_path, digit_images):
    for number, (pixels, _) in enumerate(digit_images[:4]):
        (tmp_path / f"{number}.png").write_bytes(encode_canonical(pixels))
    (tmp_path / "text.png").write_bytes(b"text")
    return tmp_path


@pytest.fixture
def work_in(monkeypatch):
    """Let this process work as a decoder process does, but without its limits."""

    def work(folder, **data):
        monkeypatch.setattr(chunks, "_workplace", [Workplace(open_folder(str(folder)), DataConfig(**data), 60.0)])

    return work


def test_sound_and_unfit_files_are_told_apart(folder, work_in):
    work_in(folder)
    decoded = decode_chunk(10, ["0.png", "text.png", "gone.png", "1.png"], {})
    assert decoded.positions == [10, 13]
    assert [(one.position, one.reason) for one in decoded.refused] == [(11, "not_an_image"), (12, "missing_file")]
    assert [one.digest for one in decoded.refused] == [digest_bytes(b"text"), None]
    assert decoded.digests == [digest_bytes(image) for image in decoded.images]
    assert len(decoded.fingerprints.phash) == 2
    assert signal.getitimer(signal.ITIMER_PROF) == signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_a_full_message_ends_the_chunk(folder, work_in, monkeypatch):
    work_in(folder)
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 1)
    assert decode_chunk(0, ["text.png", "0.png", "1.png"], {}).positions == [1]


@pytest.mark.parametrize(
    ("why", "name", "found"),
    [
        (("unknown_class", "x"), "0.png", "unknown_class"),
        (("download_failed", "x"), "gone.png", "download_failed"),
        (("missing_from_manifest", "x"), "0.png", "missing_from_manifest"),
        (("missing_from_manifest", "x"), "gone.png", "missing_file"),
    ],
)
def test_a_known_reason_wins_unless_the_file_was_never_there(folder, work_in, why, name, found):
    work_in(folder)
    decoded = decode_chunk(0, [name], {name: why})
    assert [one.reason for one in decoded.refused] == [found]
    assert decoded.positions == []


def test_whatever_a_decoder_raises_is_a_reason(folder, work_in, monkeypatch):
    def fail(data, config):
        raise RecursionError("too deep")

    monkeypatch.setattr(chunks, "read_canonical", fail)
    work_in(folder)
    (refused,) = decode_chunk(0, ["0.png"], {}).refused
    assert (refused.reason, "RecursionError: too deep" in refused.detail) == ("decoder_crashed", True)


def test_a_detector_that_is_not_there_is_nobodys_fault_but_the_projects(folder, work_in):
    work_in(folder, blur=("no_such_module:Detector",))
    with pytest.raises(ContractViolationError, match="no_such_module"):
        decode_chunk(0, ["0.png"], {})


def test_workers_load_nothing_heavy():
    heavy = ["torch", "lance", "pandas", "great_expectations", "pyarrow", "mlflow", "airflow", "sqlalchemy", "cv2"]
    code = "import sys, json, include.data.chunks, pebble.pool.process; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, check=True)
    assert set(heavy).isdisjoint(json.loads(done.stdout))
