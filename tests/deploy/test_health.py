import os
import subprocess
import sys
import time

from deploy.health import is_healthy
from deploy.parts import WATCHER, find_beat


def test_the_watcher_is_healthy_while_it_looks(home):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        # The supervisor knows whole seconds; the clock of files is some milliseconds behind.
        started = int(time.time())
        info = {"name": WATCHER, "statename": "RUNNING", "pid": process.pid, "start": started}
        home.run.mkdir()
        assert not is_healthy(home, info)
        find_beat(home).write_text("")
        assert is_healthy(home, info)
        os.utime(find_beat(home), (started + 1, started + 1))
        assert is_healthy(home, info)
        assert not is_healthy(home, info | {"start": started + 2})
        long_ago = started - 300
        os.utime(find_beat(home), (long_ago, long_ago))
        assert not is_healthy(home, info | {"start": long_ago - 1})
        process.communicate(b"\n")
