"""Run the command line."""

from include.cli.verbs import app

app(prog_name="python -m include.cli")
