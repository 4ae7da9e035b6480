#!/bin/sh
# Makes /opt/venv in the build stage of an image, with the packages of the lock in /wheels, each
# checked by its hash. With wheels in /wheels/*.whl no network is needed. Without them pip uses its
# configured index (/wheels/pip.conf, /wheels/ca.pem, arguments).
set -eu
export PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1

python3 -c 'import sys; v = sys.version_info[:2]; v == (3, 11) or sys.exit(
    "the locks are for Python 3.11, and the base image has %d.%d: choose another BASE_IMAGE" % v)'

set -- "$@" --only-binary :all:
if ls /wheels/*.whl >/dev/null 2>&1; then set -- "$@" --no-index --find-links /wheels; fi
if [ -f /wheels/pip.conf ]; then export PIP_CONFIG_FILE=/wheels/pip.conf; fi
if [ -f /wheels/ca.pem ]; then export PIP_CERT=/wheels/ca.pem; fi

# pip runs from a venv of its own, so that the image has no pip.
python3 -m venv /pip
python3 -m venv --without-pip /opt/venv
/pip/bin/python -m pip --python /opt/venv/bin/python install \
  --quiet --no-deps --no-compile --require-hashes --requirement /wheels/*.lock "$@"
find /opt/venv -name __pycache__ -prune -exec rm -rf {} +
