"""The wire proxy: forwards HTTP byte by byte, and breaks ("strikes") the answers that a rule names.

Bodies are streamed. Only a body that a rule rewrites is collected, up to `COLLECT_BYTES_MAX`. If
the LLM server is unreachable, the client gets a closed connection.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import Any, Self

import h11

from chaos.stack.http_proxy.answers import rewritten
from chaos.stack.http_proxy.errors import error_answer
from chaos.stack.http_proxy.mark import mark_of
from chaos.stack.http_proxy.peer import Gone, Headers, Peer, header, passed_on
from chaos.stack.http_proxy.rules import READS_REQUEST, Rule, RuleBook
from chaos.stack.llm_api import PROBE_HEADER, USER_AGENT, Form, completion_path, form_of

CONNECTIONS_MAX = 256
COLLECT_BYTES_MAX = 1 << 20
REQUEST_BYTES_MAX = 64 << 20
IDLE_LIMIT_S = 60.0  # for a client between two requests, and within one
ANSWER_LIMIT_S = 900.0  # without data from the server; its own limit is 600 s
CONNECT_LIMIT_S = 5.0


@dataclass(frozen=True)
class Asked:
    """A request as far as rules need it. `probe`: its number, if the harness made it, else 0."""

    head: h11.Request
    path: str
    probe: int

    @classmethod
    def of(cls, head: h11.Request) -> Self:
        number = header(head.headers, PROBE_HEADER.lower().encode())
        ours = header(head.headers, b"user-agent") == USER_AGENT.encode()
        probe = int(number) if number.isdigit() else int(ours)
        return cls(head, head.target.partition(b"?")[0].decode("ascii", "replace"), probe)


class WireProxy:
    """Serves connections; `counts` has the number of each kind of event. For one event loop.

    `asked` has the number of the daemon's requests for completions, by their form.
    """

    def __init__(self, upstream: tuple[str, int], rules: RuleBook) -> None:
        self._upstream = upstream
        self._rules = rules
        self._open: set[asyncio.Task[None]] = set()
        self.counts: Counter[str] = Counter()
        self.asked: Counter[Form] = Counter()

    def stats(self) -> dict[str, Any]:
        names = ("requests", "passed", "struck", "upstream_unreachable", "broken_off", "refused")
        return {"connections": len(self._open), **{name: self.counts[name] for name in names}}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        client = Peer(h11.SERVER, reader, writer)
        if task is None or len(self._open) >= CONNECTIONS_MAX:
            self.counts["refused"] += 1
            await client.close(hard=True)
            return
        self._open.add(task)
        try:
            while await self._exchange(client):
                pass
        except Gone:
            pass
        finally:
            self._open.discard(task)
            await client.close()

    async def end(self) -> None:
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _exchange(self, client: Peer) -> bool:
        """One request and its answer; True if the connection can carry another request."""
        event = await client.next_event(IDLE_LIMIT_S)
        if not isinstance(event, h11.Request):
            return False
        self.counts["requests"] += 1
        asked = Asked.of(event)
        rule = self._rules.due(asked.path, asked.probe)
        if rule is not None and rule.kind == "status":
            await self._answer_with_error(client, asked, rule)
        else:
            await self._forward(client, asked, rule)
        return client.next_cycle()

    async def _body(self, client: Peer, server: Peer | None, asked: Asked) -> bytes:
        """Forward the request's body; returns it if it asks for a completion. Notes its form."""
        keep = COLLECT_BYTES_MAX if completion_path(asked.path) else 0
        body = await _forward_body(client, server, keep)
        form = form_of(asked.path, body)
        if form is not None and not asked.probe:
            self.asked[form] += 1
        return body

    async def _answer_with_error(self, client: Peer, asked: Asked, rule: Rule) -> None:
        await self._body(client, None, asked)
        headers, body = error_answer(rule.params, asked.path)
        rule.strike(asked.probe)
        self.counts["struck"] += 1
        await client.respond(rule.params.status, headers, body)

    async def _forward(self, client: Peer, asked: Asked, rule: Rule | None) -> None:
        try:
            async with asyncio.timeout(CONNECT_LIMIT_S):
                reader, writer = await asyncio.open_connection(*self._upstream)
        except (OSError, TimeoutError) as error:
            self.counts["upstream_unreachable"] += 1
            raise Gone(repr(error)) from error
        server = Peer(h11.CLIENT, reader, writer)
        exchange = Exchange(client, server, asked, rule)
        try:
            await exchange.send_head()
            body = await self._body(client, server, asked)
            await _while_there(client, exchange.send_answer(body))
        except Gone:
            self.counts["broken_off"] += 1
            raise
        finally:
            self.counts["struck" if exchange.struck else "passed"] += 1
            await server.close()


class Exchange:
    """One request forwarded to the server, and its answer."""

    def __init__(self, client: Peer, server: Peer, asked: Asked, rule: Rule | None) -> None:
        self._client = client
        self._server = server
        self._asked = asked
        self._rule = rule
        self.struck = False

    async def send_head(self) -> None:
        """Forward the head of the request."""
        head = self._asked.head
        headers = passed_on(head.headers)
        if self._rule is not None:  # a rule can only read an uncompressed body
            headers = [
                (name, value) for name, value in headers if name.lower() != b"accept-encoding"
            ]
        if header(head.headers, b"transfer-encoding"):
            headers.append((b"Transfer-Encoding", b"chunked"))
        headers.append((b"Connection", b"close"))
        await self._server.send(
            h11.Request(method=head.method, target=head.target, headers=headers)
        )

    async def send_answer(self, request: bytes) -> None:
        """Forward the server's answer, changed by the rule if there is one."""
        response = await self._server.next_event(ANSWER_LIMIT_S)
        while isinstance(response, h11.InformationalResponse):
            response = await self._server.next_event(ANSWER_LIMIT_S)
        if not isinstance(response, h11.Response):
            raise Gone("the server closed without an answer")
        streamed = header(response.headers, b"content-type").startswith(b"text/event-stream")
        rule = self._rule
        if rule is None or (rule.params.after_tokens is not None and not streamed):
            await self._head(response, passed_on(response.headers))
            await self._rest()
        elif rule.kind == "delay":
            await self._stalled(response, rule, rule.params.delay_s)
        elif rule.kind == "stall":
            await self._stalled(response, rule, rule.params.stall_s)
        elif rule.kind == "truncate":
            await self._truncated(response, rule)
        else:
            asked = request if rule.kind in READS_REQUEST else b""
            await self._rewritten(response, rule, asked, streamed)
        if rule is not None and not (self.struck or self._asked.probe):
            rule.missed += response.status_code == 200

    def _strike(self, rule: Rule) -> None:
        self.struck = True
        rule.strike(self._asked.probe)

    async def _head(self, response: h11.Response, headers: Headers) -> None:
        await self._client.send(
            h11.Response(status_code=response.status_code, reason=response.reason, headers=headers)
        )

    async def _chunk(self) -> bytes | None:
        """The next bytes of the answer; None at its end."""
        event = await self._server.next_event(ANSWER_LIMIT_S)
        if isinstance(event, h11.Data):
            return bytes(event.data)
        if isinstance(event, h11.EndOfMessage):
            return None
        raise Gone("the server aborted its answer")

    async def _rest(self) -> None:
        while (chunk := await self._chunk()) is not None:
            await self._client.send(h11.Data(data=chunk))
        await self._client.send(h11.EndOfMessage())

    async def _stalled(self, response: h11.Response, rule: Rule, stall_s: float) -> None:
        """Pause at the mark; a delay has it before the first byte of the body."""
        await self._head(response, passed_on(response.headers))
        mark = mark_of(rule.params)
        while (chunk := await self._chunk()) is not None:
            place = mark.before(chunk)
            if place is None:
                await self._client.send(h11.Data(data=chunk))
                continue
            if place:
                await self._client.send(h11.Data(data=chunk[:place]))
            self._strike(rule)
            await _held(rule, stall_s)
            await self._client.send(h11.Data(data=chunk[place:]))
            break
        else:
            await self._client.send(h11.EndOfMessage())
            return
        await self._rest()

    async def _truncated(self, response: h11.Response, rule: Rule) -> None:
        """Cut at the mark: with the original length in the head, or with the matching one."""
        headers = passed_on(response.headers)
        declared = header(response.headers, b"content-length")
        honest_end = rule.params.length == "rewritten"
        if honest_end and declared and rule.params.after_tokens is None:
            size = min(int(declared), rule.params.after_bytes)
            headers = [*_without_length(headers), (b"Content-Length", b"%d" % size)]
        elif honest_end:
            headers = _without_length(headers)
        await self._head(response, headers)
        mark = mark_of(rule.params)
        while (chunk := await self._chunk()) is not None:
            place = mark.before(chunk)
            kept = chunk if place is None else chunk[:place]
            if kept:
                await self._client.send(h11.Data(data=kept))
            if place is not None:
                self._strike(rule)
                if not honest_end:
                    raise Gone("cut by a rule")
                break
        await self._client.send(h11.EndOfMessage())

    async def _rewritten(
        self, response: h11.Response, rule: Rule, request: bytes, streamed: bool
    ) -> None:
        body, ended = b"", False
        while len(body) <= COLLECT_BYTES_MAX and not ended:
            chunk = await self._chunk()
            ended = chunk is None
            body += chunk or b""
        changed = None
        if ended and response.status_code == 200:
            changed = rewritten(rule, request, body, streamed=streamed)
        headers = passed_on(response.headers)
        if changed is not None:
            self._strike(rule)
            headers = [*_without_length(headers), (b"Content-Length", b"%d" % len(changed))]
        await self._head(response, headers)
        await self._client.send(h11.Data(data=body if changed is None else changed))
        if ended:
            await self._client.send(h11.EndOfMessage())
        else:
            await self._rest()


def _without_length(headers: Headers) -> Headers:
    return [(name, value) for name, value in headers if name.lower() != b"content-length"]


async def _forward_body(client: Peer, server: Peer | None, keep_bytes: int) -> bytes:
    """Forward the request's body (None: drop it); returns its first `keep_bytes` bytes."""
    kept, size = b"", 0
    while not isinstance(event := await client.next_event(IDLE_LIMIT_S), h11.EndOfMessage):
        if not isinstance(event, h11.Data):
            raise Gone("the client aborted its request")
        size += len(event.data)
        if size > REQUEST_BYTES_MAX:
            raise Gone(f"a request of more than {REQUEST_BYTES_MAX} bytes")
        kept += bytes(event.data)[: keep_bytes - len(kept)] if keep_bytes > len(kept) else b""
        if server is not None:
            await server.send(h11.Data(data=event.data))
    if server is not None:
        await server.send(h11.EndOfMessage())
    return kept


async def _held(rule: Rule, limit_s: float) -> None:
    """Wait until the rule is removed, at most `limit_s` (0: without a limit)."""
    try:
        async with asyncio.timeout(limit_s or None):
            await rule.released.wait()
    except TimeoutError:
        return


async def _while_there(client: Peer, work: Any) -> None:
    """Do `work` while the client is connected. Raises `Gone` when it leaves, to free the slot."""
    answering = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(client.wait_gone())
    try:
        await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            raise Gone("the client went away")
        answering.result()
    finally:
        for task in (answering, leaving):
            task.cancel()
        await asyncio.gather(answering, leaving, return_exceptions=True)
