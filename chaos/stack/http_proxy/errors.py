"""The errors that LLM servers answer with: llama.cpp's on its own path, OpenAI's on the others.

llama.cpp's server sends `code`, `message` and `type` (tools/server); it has no 429, so that one
only has the same format, as a gateway before it would answer. OpenAI's API sends `message`, `type`,
`param` and `code`, and says in headers how long to wait (its guides "Error codes" and "Rate
limits"); an expired key is an invalid one there.
"""

import json
from typing import Any

from chaos.stack.http_proxy.rules import Params
from chaos.stack.llm_api import CHAT, COMPLETIONS, completion_path

_LLAMA: dict[int, dict[str, Any]] = {
    400: {
        "code": 400,
        "message": "request (5000 tokens) exceeds the available context size (2048 tokens), "
        "try increasing it",
        "type": "exceed_context_size_error",
        "n_prompt_tokens": 5000,
        "n_ctx": 2048,
    },
    401: {"code": 401, "message": "Invalid API Key", "type": "authentication_error"},
    429: {"code": 429, "message": "Too many requests", "type": "rate_limit_error"},
    500: {"code": 500, "message": "Internal Server Error", "type": "server_error"},
    503: {"code": 503, "message": "Loading model", "type": "unavailable_error"},
}
# (message, type, param, code)
_OPENAI: dict[int, tuple[str, str, str | None, str | None]] = {
    400: (
        "This model's maximum context length is 8192 tokens. However, your messages resulted in "
        "10000 tokens. Please reduce the length of the messages.",
        "invalid_request_error",
        "messages",
        "context_length_exceeded",
    ),
    401: (
        "Incorrect API key provided: sk-expir**********3f2a. You can find your API key at "
        "https://platform.openai.com/account/api-keys.",
        "invalid_request_error",
        None,
        "invalid_api_key",
    ),
    429: (
        "Rate limit reached for this model on requests per min (RPM): Limit 60, Used 60, "
        "Requested 1. Please try again in {seconds}s.",
        "requests",
        None,
        "rate_limit_exceeded",
    ),
    500: (
        "The server had an error while processing your request. Sorry about that!",
        "server_error",
        None,
        None,
    ),
    503: (
        "That model is currently overloaded with other requests. You can retry your request, or "
        "contact us through our help center at help.openai.com if the error persists.",
        "server_error",
        None,
        None,
    ),
}


def error_answer(params: Params, path: str) -> tuple[list[tuple[str, str]], bytes]:
    """Headers and body of the error `params.status`, as the API of `path` has them."""
    seconds = params.retry_after_s
    headers = [("Content-Type", "application/json; charset=utf-8")]
    if params.status == 429:
        headers.append(("Retry-After", str(seconds)))
    if completion_path(path) in (COMPLETIONS, CHAT):
        message, kind, param, code = _OPENAI[params.status]
        message = message.format(seconds=seconds)
        error: dict[str, Any] = {"message": message, "type": kind, "param": param, "code": code}
        headers.append(("X-Request-Id", "req_chaos"))
        if params.status == 429:
            headers += [
                ("Retry-After-Ms", str(seconds * 1000)),
                ("X-RateLimit-Limit-Requests", "60"),
                ("X-RateLimit-Remaining-Requests", "0"),
                ("X-RateLimit-Reset-Requests", f"{seconds}s"),
            ]
    else:
        error = _LLAMA[params.status]
    body = json.dumps({"error": error}, separators=(",", ":")).encode()
    return [*headers, ("Content-Length", str(len(body)))], body
