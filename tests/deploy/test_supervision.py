from configparser import RawConfigParser
from pathlib import Path

import pytest
from supervisor.options import ServerOptions

from deploy.credentials import load_credentials
from deploy.home import Home, Ports
from deploy.parts import name_parts
from deploy.supervision import Supervisor, render_configuration
from include.settings import Settings


@pytest.mark.parametrize("folder", ["plain", "with space", "100%", "a ;semicolon # hash"])
def test_the_supervisor_understands_its_configuration_in_any_folder(tmp_path, folder, monkeypatch):
    home = Home(Settings(home=tmp_path / folder), Ports(), replicas=3)
    for needed in (home.run, home.logs):
        needed.mkdir(parents=True)
    (home.run / "supervisord.conf").write_text(render_configuration(home))
    monkeypatch.chdir(home.root)
    options = ServerOptions()
    options.realize(["-c", str(home.run / "supervisord.conf")])
    programs = {program.name: program for group in options.process_group_configs for program in group.process_configs}
    assert set(programs) == set(name_parts(3))
    assert all(program.stopasgroup and program.killasgroup and program.autorestart for program in programs.values())
    assert Path(programs["postgres"].stdout_logfile).resolve() == home.logs / "postgres.log"
    assert Path(options.server_configs[0]["file"]).resolve() == home.socket


def test_postgres_stops_last(home):
    parser = RawConfigParser()
    parser.read_string(render_configuration(home))
    assert int(parser["group:database"]["priority"]) < int(parser["group:services"]["priority"])
    assert parser["program:postgres"]["stopsignal"] == "INT"
    assert parser["program:front"]["stopsignal"] == "QUIT"


def test_the_configuration_holds_no_secret(home):
    text = render_configuration(home)
    assert [secret for secret in vars(load_credentials(home)).values() if secret in text] == []


def test_nothing_answers_where_nothing_runs(home):
    assert Supervisor(home).is_running() is False
