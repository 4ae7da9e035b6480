#!/usr/bin/env bash
# Starts the LLM server and waits until it answers. Run it in the workspace.
# Idempotent: the supervisor that owns the server never starts a second one.
set -euo pipefail

python="${PYTHON:-python3}"
control="${LLM_CONTROL:-127.0.0.1:8079}"

if PYTHONPATH="." "$python" -c "import agents.llm_lifecycle" 2>/dev/null; then
    PYTHONPATH="." exec "$python" -m agents.llm_lifecycle start
fi

# Without the agent's dependencies: ask the supervisor directly. It answers once the server process
# is started, before the model is loaded.
exec curl --fail --silent --show-error --max-time 10 -X POST "http://${control}/start"
