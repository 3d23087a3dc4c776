import subprocess
import sys

from include.serving.probe import find_trouble
from include.settings import REPOSITORY


def test_a_process_that_is_away_is_told(tmp_path):
    command = [sys.executable, "-m", "include.serving.probe", str(tmp_path / "nobody.sock")]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "nobody.sock does not answer" in done.stderr


def test_what_a_process_says_is_handed_on(settings, make_release, want, tmp_path, wait_until):
    import os
    import signal

    socket = tmp_path / "s.sock"
    environment = os.environ | {
        "WINDHOVER_HOME": str(settings.home),
        "WINDHOVER_STORE": settings.store,
        "WINDHOVER_LEDGER_URI": settings.ledger_uri,
    }
    command = [sys.executable, "-m", "include.serving", "--socket", str(socket)]
    with subprocess.Popen(command, cwd=REPOSITORY, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            assert "no_release" in wait_until(lambda: socket.exists() and find_trouble(str(socket)), "the process")
            want(make_release(7))
            wait_until(lambda: find_trouble(str(socket)) == "", "the release")
        finally:
            process.send_signal(signal.SIGTERM)
