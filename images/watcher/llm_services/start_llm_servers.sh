#!/usr/bin/env bash
# Starts the LLM server and waits until it answers. Run it in the workspace.
# The server belongs to a supervisor, so calling this twice never starts a second one.
set -euo pipefail

python="${PYTHON:-python3}"
control="${LLM_CONTROL:-127.0.0.1:8079}"

if PYTHONPATH="." "$python" -c "import agents.llm_lifecycle" 2>/dev/null; then
    PYTHONPATH="." exec "$python" -m agents.llm_lifecycle start
fi

# Without the agent's dependencies: ask the supervisor directly (it answers when spawned).
exec curl --fail --silent --show-error --max-time 10 -X POST "http://${control}/start"
