"""What a target says of its links: to its LLM, where that server comes from, and further ones."""

from typing import Annotated, Literal

import msgspec

from chaos.base.bounded import PositiveSeconds

PositiveCount = Annotated[int, msgspec.Meta(ge=1, le=1 << 20)]


class _Model(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    pass


class LLMServer(_Model, frozen=True):
    """A server of the daemon's own, which listens on `upstream`: exactly one of these.

    `command` starts it, below the harness's supervisor: it stays in the foreground, and a script
    ends with `exec`. The parts of `upstream` are {host} and {port}; {model} is the GGUF file.
    `stop` ends it; without it SIGTERM does. `daemon`: the daemon starts and stops it by itself;
    with `start` and `stop` the harness can do it, too. `external`: host:port of a server that is
    not of the run; a relay listens on `upstream` for it.
    """

    command: list[str] = []
    daemon: bool = False
    external: str = ""
    start: list[str] = []
    stop: list[str] = []


class LLMSpec(_Model, frozen=True):
    """Where the daemon expects its LLM server (host:port), and the supervisor's event log.

    The proxy listens on `endpoint`, the server behind it on `upstream`; `control` is where
    the supervisor takes start and stop. `wire` is where the HTTP proxy between the two listens
    when a fault needs it, `wire_control` where its rules are set; empty: there is none.
    `call_limit_s`: after how many seconds the daemon gives a call up, a number or the name of the
    setting in braces; empty: the target does not say. `stopped_for_work`: the daemon stops its
    server for each dispatch, and starts it again afterwards. `model` (a GGUF file, as
    `workspace.install.source`), `context_tokens` (of all slots), `threads` and `slots` of the
    server; without them those of `chaos setup` and of images/llm. `server`: where it comes from, if
    it is not the embedded one; `daemon`: the daemon starts and stops it. `ready_path`: it is ready
    once it answers there, below 500.
    """

    endpoint: str = "127.0.0.1:8080"
    upstream: str = "127.0.0.1:8081"
    control: str = "127.0.0.1:8079"
    proxy_api: str = "127.0.0.1:8474"
    events: str = "logs/llm_events.jsonl"  # workspace path of the supervisor's record
    start_limit_s: PositiveSeconds = 60.0
    call_limit_s: str | PositiveSeconds = ""
    stopped_for_work: bool = False
    model: str = ""
    context_tokens: PositiveCount | None = None
    threads: PositiveCount | None = None
    slots: PositiveCount | None = None
    server: Literal["daemon"] | LLMServer | None = None
    ready_path: str = "/health"
    wire: str = "127.0.0.1:8082"
    wire_control: str = "127.0.0.1:8083"

    @property
    def own(self) -> LLMServer | None:
        """`server` in its long form; None for the embedded one."""
        return LLMServer(daemon=True) if self.server == "daemon" else self.server

    @property
    def external(self) -> str:
        """host:port of a server that is not of the run; empty for one that is."""
        return "" if self.own is None else self.own.external

    @property
    def adopted(self) -> bool:
        """Whether the daemon starts and stops the server by itself."""
        return self.own is not None and self.own.daemon


class LinkSpec(_Model, frozen=True):
    """A further connection of the daemon, over the proxy: to a second LLM, an API, a database.

    The daemon knows `endpoint`, where the proxy listens; `upstream` is the server behind it, one of
    `services` for example. `probe`: a path that answers a GET below 500; without one the link is
    captured, and no fault can be proven on it.
    """

    endpoint: str
    upstream: str
    probe: str = ""
