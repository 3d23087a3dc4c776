#!/bin/sh
# Install packages into the image's environment with the uv that requirements.lock names; uv itself does not stay.
set -eu
pip install --no-cache-dir --no-deps --quiet --root-user-action=ignore --target /opt/uv \
    "$(grep -E '^uv==' requirements.lock)"
PATH=/opt/uv/bin:$PATH
uv venv --quiet --python "$(command -v python)" /opt/venv
uv pip install --no-cache --quiet --python /opt/venv/bin/python "$@"
rm -r /opt/uv
