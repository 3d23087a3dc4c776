import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from types import ModuleType

import pytest

from include.data import decoders
from include.data.chunks import CHUNK_BYTES, DECODER_SECONDS
from include.data.decoders import count_workers, decode_files
from include.data.sources.names import UnfitFileError
from include.errors import ServiceUnavailableError, TransientError
from include.project import DataConfig
from include.settings import REPOSITORY
from include.storage import digest_bytes
from include.vision.decoding import encode_canonical


@dataclass(frozen=True)
class StandIn:
    """Stands in for a folder; some names do to the process what a hostile file may do to its decoder."""

    images: tuple[bytes, ...]
    ballast: int = 0

    def read(self, name, max_bytes):
        number, _, fate = name.partition("-")
        if fate:
            FATES[fate]()
        return self.images[int(number) % len(self.images)] + bytes(self.ballast)


def spin():
    while True:
        pass


def be_away():
    raise ServiceUnavailableError("the source does not answer")


def be_gone():
    raise UnfitFileError("missing_file", "listed, but not delivered")


FATES = {
    "spin": spin,
    "sleep": lambda: time.sleep(3600),
    "abort": os.abort,
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "hoard": lambda: bytearray(8 * 2**30),
    "away": be_away,
    "gone": be_gone,
}


@pytest.fixture(scope="module")
def stand_in(digit_images):
    return StandIn(tuple(encode_canonical(pixels) for pixels, _ in digit_images[:50]))


def decode(reader, names, known=None, workers=2, **data):
    found = list(decode_files(reader, names, DataConfig(**data), workers, known or {}))
    sound = [position for one in found for position in one.positions]
    refused = {one.position: one for part in found for one in part.refused}
    assert sorted([*sound, *refused]) == list(range(len(names)))
    assert all(len(one.images) == len(one.digests) == len(one.fingerprints.phash) for one in found)
    return found, sound, refused


def test_files_come_back_in_order_whatever_the_number_of_workers(stand_in):
    names = [str(number) for number in range(700)]
    results = [decode(stand_in, names, workers=workers) for workers in (1, 3)]
    assert [sound for _, sound, _ in results] == [list(range(700))] * 2
    digests = [[digest for one in found for digest in one.digests] for found, _, _ in results]
    assert digests[0] == digests[1]
    assert digests[0][3] == digest_bytes(results[0][0][0].images[3])


def test_nothing_to_do_is_done():
    assert list(decode_files(StandIn(()), [], DataConfig(), 2, {})) == []


def test_large_files_are_sent_before_they_pile_up(stand_in):
    reader = StandIn(stand_in.images, ballast=1_000_000)
    found, sound, _ = decode(reader, [str(number) for number in range(20)], keep_originals=True)
    assert sound == list(range(20))
    assert max(sum(map(len, one.originals)) for one in found) < CHUNK_BYTES + 2_000_000


@pytest.mark.parametrize(
    ("fate", "reason", "detail"),
    [
        pytest.param("spin", "decoder_timeout", f"within {DECODER_SECONDS:g} s", id="spins"),
        pytest.param("abort", "decoder_crashed", "SIGABRT", id="aborts"),
    ],
)
def test_what_kills_its_decoder_is_named_and_all_others_survive(stand_in, fate, reason, detail):
    names = [f"{number}-{fate}" if number == 140 else str(number) for number in range(300)]
    _, sound, refused = decode(stand_in, names)
    assert list(refused) == [140]
    assert len(sound) == 299
    assert (refused[140].reason, refused[140].digest) == (reason, None)
    assert detail in refused[140].detail


def test_what_waits_for_ever_is_ended_too(stand_in, monkeypatch):
    monkeypatch.setattr(decoders, "CHUNK_SECONDS", 0.5)
    _, _, refused = decode(stand_in, ["0", "1-sleep", "2"])
    assert {position: one.reason for position, one in refused.items()} == {1: "decoder_timeout"}


def test_several_that_kill_in_one_chunk_are_all_named(stand_in):
    _, _, refused = decode(stand_in, ["0-abort", "1", "2-abort", "3-abort", "4"])
    assert sorted(refused) == [0, 2, 3]


def test_known_reasons_are_kept_and_such_files_are_read_for_their_digest_only(stand_in):
    known = {"1": ("unknown_class", "label 'eleven'"), "2-gone": ("download_failed", "status 404")}
    _, sound, refused = decode(stand_in, ["0", "1", "2-gone", "3-gone"], known)
    assert sound == [0]
    assert [refused[number].reason for number in (1, 2, 3)] == ["unknown_class", "download_failed", "missing_file"]
    assert refused[1].digest == digest_bytes(stand_in.images[1])
    assert refused[2].digest is None


def test_memory_is_limited(stand_in):
    with pytest.raises(MemoryError):
        decode(stand_in, ["0", "1-hoard"])


def test_a_source_that_does_not_answer_quarantines_nothing(stand_in):
    with pytest.raises(ServiceUnavailableError, match="does not answer"):
        decode(stand_in, ["0", "1-away"])


def test_a_kill_from_outside_quarantines_nothing(stand_in):
    with pytest.raises(TransientError, match=r"killed from outside.*is memory short"):
        decode(stand_in, ["0", "1-kill"])


def test_workers_leave_the_main_module_alone(stand_in, monkeypatch, tmp_path):
    script = tmp_path / "main.py"
    script.write_text("raise SystemExit('imported again')")
    main = ModuleType("__main__")
    main.__file__ = str(script)
    monkeypatch.setitem(sys.modules, "__main__", main)
    assert decode(stand_in, ["0", "1"])[1] == [0, 1]
    assert sys.modules["__main__"] is main


def test_shards_share_the_cores():
    cores = len(os.sched_getaffinity(0))
    assert [count_workers(shards) for shards in (1, cores, 64 * cores)] == [cores, 1, 1]


DAEMON = """
import sys
from billiard.context import Process
from include.data.decoders import decode_files
from include.data.sources.local import LocalFolder
from include.project import DataConfig
from include.settings import REPOSITORY

def work(folder, name):
    (decoded,) = decode_files(LocalFolder(folder), [name], DataConfig(), 1, {})
    sys.exit(0 if len(decoded.digests) == 1 else 1)

if __name__ == "__main__":
    process = Process(target=work, args=sys.argv[1:])
    process.daemon = True
    process.start()
    process.join()
    sys.exit(process.exitcode)
"""


def test_a_task_of_celery_which_is_a_daemon_decodes_too(tmp_path, digit_images):
    (tmp_path / "1.png").write_bytes(encode_canonical(digit_images[0][0]))
    command = [sys.executable, "-c", DAEMON, str(tmp_path), "1.png"]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 0, ended.stderr
