"""How an LLM server is asked for a completion, and what its answer says.

llama.cpp's own API and OpenAI's two, each plain or streamed (server-sent events). Pure: knows no
connection, and nothing of faults.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

LLAMA: Final = "/completion"
COMPLETIONS: Final = "/v1/completions"
CHAT: Final = "/v1/chat/completions"
PATHS = (LLAMA, COMPLETIONS, CHAT)
# llama.cpp's server has these names, too.
_SAME_AS = {"/completions": LLAMA, "/chat/completions": CHAT}
DONE = b"[DONE]"  # OpenAI's last event
USER_AGENT = "chaos"  # of the harness: its requests are not the daemon's
# The number of a request in a probe of the harness, from 1: rules of the wire proxy go by it.
PROBE_HEADER = "X-Chaos-Probe"
CUT_SHORT = ("length", "limit")  # why an answer ended that reached its limit of tokens

_SETTINGS = {"temperature": 0, "seed": 1, "cache_prompt": False}


class NoCompletion(ValueError):
    """The body is not a whole completion."""


@dataclass(frozen=True)
class Form:
    """The form of a request: its path (of `PATHS`), whether streamed, whether it offers tools."""

    path: str = LLAMA
    stream: bool = False
    tools: bool = False

    def __str__(self) -> str:
        stream, tools = " streamed" if self.stream else "", " with tools" if self.tools else ""
        return f"{self.path}{stream}{tools}"


def completion_path(path: str) -> str | None:
    """The path of `PATHS` that means the same; None for a path without completions."""
    return path if path in PATHS else _SAME_AS.get(path)


def form_of(path: str, body: bytes) -> Form | None:
    """The form of a request for a completion; None for another request, or without a JSON body."""
    meant = completion_path(path)
    if meant is None:
        return None
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(asked, dict):
        return None
    return Form(meant, asked.get("stream") is True, bool(asked.get("tools")))


def request_body(path: str, prompt: str, tokens: int, **more: Any) -> dict[str, Any]:
    """A request for at most `tokens` tokens, the same each time."""
    if path == LLAMA:
        asked: dict[str, Any] = {"prompt": prompt, "n_predict": tokens}
    elif path == COMPLETIONS:
        asked = {"prompt": prompt, "max_tokens": tokens}
    else:
        asked = {"messages": [{"role": "user", "content": prompt}], "max_tokens": tokens}
    return {**asked, **_SETTINGS, **more}


@dataclass
class Completion:
    """A completion, or the events of a streamed one, decoded. `done`: `[DONE]` came."""

    objects: list[dict[str, Any]]
    done: bool = False

    def text_places(self) -> Iterator[tuple[dict[str, Any], str]]:
        """Where the text stands: (object, key) for each part of it."""
        for one in self.objects:
            if isinstance(one.get("content"), str):
                yield one, "content"
            for choice in _choices(one):
                part = _message(choice)
                place, key = (choice, "text") if part is None else (part, "content")
                if isinstance(place.get(key), str):
                    yield place, key

    def finish_places(self) -> Iterator[tuple[dict[str, Any], str]]:
        """Where it stands why the answer ended."""
        for one in self.objects:
            if one.get("stop_type"):
                yield one, "stop_type"
            for choice in _choices(one):
                if choice.get("finish_reason"):
                    yield choice, "finish_reason"

    @property
    def text(self) -> str | None:
        """The whole text; None if no object has a place for it."""
        parts = [place[key] for place, key in self.text_places()]
        return "".join(parts) if parts else None

    @property
    def finish(self) -> str:
        """Why it ended, in the server's word; empty if it does not say."""
        return next((str(place[key]) for place, key in self.finish_places()), "")

    @property
    def cut_short(self) -> bool:
        """True if it reached its limit of tokens."""
        return self.finish in CUT_SHORT

    @property
    def model(self) -> str:
        """The first model that it names; empty without one."""
        return next((str(one["model"]) for one in self.objects if one.get("model")), "")

    @property
    def without_choices(self) -> bool:
        """True if it lists choices, and never has one."""
        listed = [one["choices"] for one in self.objects if "choices" in one]
        return bool(listed) and not any(listed)

    @property
    def ended(self) -> bool:
        """True if the end mark of a stream came: `[DONE]`, or llama.cpp's last event."""
        return self.done or any(one.get("stop") is True for one in self.objects)

    @property
    def tool_calls(self) -> list[tuple[str, str]]:
        """(name, arguments) of each tool call of the first choice; parts are put together."""
        calls: dict[int, list[str]] = {}
        for one in self.objects:
            for choice in _choices(one):
                for number, call in enumerate((_message(choice) or {}).get("tool_calls") or []):
                    whole = calls.setdefault(call.get("index", number), ["", ""])
                    function = call.get("function", {})
                    whole[0] += function.get("name") or ""
                    whole[1] += function.get("arguments") or ""
        return [(name, arguments) for name, arguments in calls.values()]


def read_completion(body: bytes, *, streamed: bool) -> Completion:
    """Decode an answer. Raises `NoCompletion` if it is cut, or none."""
    parts = [body]
    if streamed:
        lines = (line for line in body.splitlines() if line.startswith(b"data:"))
        parts = [line[5:].strip() for line in lines]
    done = bool(parts) and parts[-1] == DONE
    try:
        objects = [json.loads(part) for part in (parts[:-1] if done else parts)]
    except (ValueError, RecursionError) as error:
        raise NoCompletion(str(error)) from error
    if not objects or not all(_is_of_completion(one) for one in objects):
        raise NoCompletion("no completion")
    return Completion(objects, done)


def write_completion(completion: Completion, *, streamed: bool) -> bytes:
    """The body of an answer."""
    parts = [
        json.dumps(one, ensure_ascii=False, separators=(",", ":")).encode()
        for one in completion.objects
    ]
    if not streamed:
        return parts[0]
    return b"".join(b"data: " + part + b"\n\n" for part in parts + [DONE] * completion.done)


def _is_of_completion(answer: Any) -> bool:
    return isinstance(answer, dict) and ("content" in answer or "choices" in answer)


def _choices(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """The first choice, in a list; empty without one."""
    choices = answer.get("choices")
    listed = choices if isinstance(choices, list) else []
    return [choice for choice in listed[:1] if isinstance(choice, dict)]


def _message(choice: dict[str, Any]) -> dict[str, Any] | None:
    """A chat's message, or the part of it in an event."""
    found = choice.get("message", choice.get("delta"))
    return found if isinstance(found, dict) else None
