"""Check what a target says of its LLM and its links: addresses that can be used, and no two alike.

Pure; applied as the rules of target_rules.py are.
"""

import re
from collections.abc import Iterator

from chaos.base.typedtree import Problem
from chaos.record.target import Target
from chaos.record.target_llm import LLMServer

LINKS_OF_LLM = ("llm", "upstream", "control")  # names of the wire witness
_LINK = re.compile(r"[a-z][a-z0-9_]{0,31}")
_PORT_MAX = 65_535
_ADDRESSES = ("endpoint", "upstream", "control", "proxy_api", "wire", "wire_control")
_SERVERS = ("command", "daemon", "external")


def llm_problems(target: Target) -> Iterator[Problem]:
    """Everything in `llm` and `links` that cannot be used."""
    yield from _addresses(target)
    yield from _links(target)
    if not target.llm.ready_path.startswith("/"):
        text = f"{target.llm.ready_path!r} is not a path of a URL"
        yield Problem(("llm", "ready_path"), text, "write e.g. /health")
    if target.llm.own is not None:
        yield from _server(target.llm.own)


def server_elsewhere(target: Target, *, here: bool) -> Iterator[Problem]:
    """Why the server cannot be had in containers; nothing for a local run (`here`)."""
    if target.llm.server is not None and not here:
        text = "in containers the LLM server is always the one of the image"
        yield Problem(("llm", "server"), text, "leave out --backend docker")


def _addresses(target: Target) -> Iterator[Problem]:
    taken: dict[str, str] = {}
    for name in _ADDRESSES:
        text = getattr(target.llm, name)
        if not text and name.startswith("wire"):
            continue
        keys = ("llm", name)
        if not _is_endpoint(text):
            yield Problem(keys, f"{text!r} is not host:port", "write e.g. 127.0.0.1:8080")
        elif text in taken:
            yield Problem(
                keys,
                f"{text} is the address of {taken[text]} as well",
                "give each its own: the proxy listens on endpoint, the server on upstream",
            )
        taken[text] = name


def _links(target: Target) -> Iterator[Problem]:
    llm = {f"llm.{name}": getattr(target.llm, name) for name in _ADDRESSES}
    taken = {text.rpartition(":")[2]: name for name, text in llm.items() if text}
    for name, link in target.links.items():
        if name in LINKS_OF_LLM or not _LINK.fullmatch(name):
            step = f"small letters, digits and underscores; not {', '.join(LINKS_OF_LLM)}"
            yield Problem(("links", name), f"{name!r} cannot name a link", step)
        for key in ("endpoint", "upstream"):
            text, keys = getattr(link, key), ("links", name, key)
            port = text.rpartition(":")[2]
            if not _is_endpoint(text):
                yield Problem(keys, f"{text!r} is not host:port", "write e.g. 127.0.0.1:5432")
            elif port in taken:
                step = "give each a port of its own: links are told apart by it"
                yield Problem(keys, f"port {port} is that of {taken[port]} as well", step)
            taken[port] = ".".join(keys)
        if link.probe and not link.probe.startswith("/"):
            step = "write e.g. /health"
            yield Problem(("links", name, "probe"), f"{link.probe!r} is not a path of a URL", step)


def _server(server: LLMServer) -> Iterator[Problem]:
    said = [name for name in _SERVERS if getattr(server, name)]
    if len(said) != 1:
        text = f"exactly one of {', '.join(_SERVERS)} is needed, "
        text += f"this has {' and '.join(said) or 'none'}"
        yield Problem(("llm", "server"), text, "say how the server is started")
    if server.external and not _is_endpoint(server.external):
        text = f"{server.external!r} is not host:port"
        yield Problem(("llm", "server", "external"), text, "write e.g. 10.0.0.5:8000")
    if server.stop and server.external:
        text = "a server that is not of the run is never stopped"
        yield Problem(("llm", "server", "stop"), text, "leave it out")
    if server.start and not server.daemon:
        text = "start is for a server that the daemon starts"
        yield Problem(("llm", "server", "start"), text, "write it as command")
    for name in ("command", "start", "stop"):
        words = getattr(server, name)
        if words and not words[0].strip():
            text = "there is no command"
            yield Problem(("llm", "server", name), text, "write the program and its arguments")
        for number, word in enumerate(words):
            if "\0" in word:
                keys = ("llm", "server", name, number)
                yield Problem(keys, "a NUL in an argument", "leave it out")


def _is_endpoint(text: str) -> bool:
    host, _, port = text.rpartition(":")
    plain = port.isascii() and port.isdigit() and len(port) <= len(str(_PORT_MAX))
    named = bool(host) and not any(letter.isspace() or letter in "/\0" for letter in host)
    return named and plain and 1 <= int(port) <= _PORT_MAX
