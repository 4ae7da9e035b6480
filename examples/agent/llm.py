"""Asks the LLM by OpenAI's chat API, with a streamed answer and tools. Knows nothing of jobs."""

import contextlib
import http.client
import json
import socket
import threading
from datetime import UTC, datetime

HOST, PORT, PATH = "127.0.0.1", 8080, "/v1/chat/completions"
CALL_LIMIT_S, TOKEN_LIMIT_S = 6.0, 4.0  # of a whole call; without a byte
ATTEMPTS, PAUSE_S, PAUSE_MAX_S = 3, 1.0, 10.0
SETTINGS = {"stream": True, "max_tokens": 24, "temperature": 0}
stop = threading.Event()  # set: make no more attempts


def now():
    return datetime.now(UTC).isoformat()


class Refused(OSError):
    """An answer that is no completion. `pause_s`: how long the server asks to wait."""

    def __init__(self, reply):
        super().__init__(f"status {reply.status}")
        seconds = reply.headers.get("Retry-After", "")
        self.pause_s = min(float(seconds), PAUSE_MAX_S) if seconds.isdigit() else 0.0


def ask(messages, tools, calls):
    """(text, tool calls), or None if there was no answer. Each attempt is added to `calls`."""
    asked_to_wait_s = 0.0
    for attempt in range(ATTEMPTS):
        if attempt and stop.wait(max(PAUSE_S * attempt, asked_to_wait_s)):
            break
        call = {"started": now(), "ok": False}
        try:
            text, requests = ask_once({"messages": messages, "tools": tools, **SETTINGS})
            call |= {"ok": True, "answer": text}
            return text, requests
        except (OSError, http.client.HTTPException, ValueError, LookupError) as error:
            print(f"no answer: {error!r}", flush=True)
            asked_to_wait_s = getattr(error, "pause_s", 0.0)
        except (TypeError, AttributeError) as error:  # JSON of another shape
            print(f"a strange answer: {error!r}", flush=True)
        finally:
            calls.append({**call, "ended": now()})
    return None


def ask_once(body):
    """(text, tool calls) of a whole answer. Anything less raises an exception."""
    link = http.client.HTTPConnection(HOST, PORT, timeout=TOKEN_LIMIT_S)
    link.connect()
    # The timeout of a socket limits each wait. This limits all of them together.
    watchdog = threading.Timer(CALL_LIMIT_S, hang_up, [link.sock])
    watchdog.start()
    try:
        link.request("POST", PATH, json.dumps(body), {"Content-Type": "application/json"})
        reply = link.getresponse()
        if reply.status != 200:
            raise Refused(reply)
        return put_together(events(reply))
    finally:
        watchdog.cancel()
        link.close()


def hang_up(sock):
    with contextlib.suppress(OSError):  # it is closed already
        sock.shutdown(socket.SHUT_RDWR)


def events(reply):
    """The events of a streamed answer. ValueError for a stream that ends before its end mark."""
    for line in reply:
        field, _, data = line.partition(b":")
        if field == b"data":
            if data.strip() == b"[DONE]":
                return
            yield json.loads(data)
    raise ValueError("the stream ended before [DONE]")


def put_together(parts):
    """(text, tool calls) of the events. A tool call is {"id", "name", "arguments"}, all text."""
    text, requests, finish = "", {}, None
    for event in parts:
        for choice in event["choices"][:1]:
            finish = choice.get("finish_reason") or finish
            delta = choice.get("delta") or {}
            text += delta.get("content") or ""
            for part in delta.get("tool_calls") or []:
                request = requests.setdefault(
                    part.get("index", 0), {"id": part.get("id", ""), "name": "", "arguments": ""}
                )
                for key in ("name", "arguments"):
                    request[key] += part.get("function", {}).get(key) or ""
    if finish is None and not text and not requests:
        raise ValueError("no choice")
    return text, list(requests.values())
