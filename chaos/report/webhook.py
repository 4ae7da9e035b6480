"""One POST at the end of a run or a gate: the verdict as JSON, to an address of the user's.

It never changes a verdict: what goes wrong is a warning on stderr. An address may hold a secret,
in any part of it, so only its host is ever printed. Knows no command.
"""

from __future__ import annotations

import re
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

from chaos.base.errors import ChaosError, UsageError
from chaos.base.printable import printable
from chaos.base.version import __version__
from chaos.checks.verdict import Verdict
from chaos.record.rundir import RunDir, json_text
from chaos.report.stored import load
from chaos.report.write import FORMATS

SCHEMA = 1
LIMIT_S = 10.0  # of one attempt
ATTEMPTS = 2
PAUSE_S = 1.0  # between two attempts
_REDIRECTS_MAX = 3
_KEEPS_METHOD = (307, 308)  # after any other redirect a POST would become a GET
_TRY_AGAIN = (408, 425, 429, 500, 502, 503, 504)
_UNFIT = re.compile(r"[\x00-\x20\x7f]")
_EXAMPLE = "e.g. --notify https://example.org/hook"


class Webhook:
    """An address that was checked. Raises `UsageError` for one that cannot be asked."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._parts = _checked(url)

    @property
    def shown(self) -> str:
        """Scheme, host and port: all of the address that may be printed."""
        return _origin(self._parts)

    def send(self, content: Mapping[str, Any]) -> None:
        """POST `content` as JSON. What goes wrong is printed, and changes nothing."""
        body = json_text(content).encode("utf-8", "backslashreplace")
        problem = ""
        try:
            for attempt in range(ATTEMPTS):
                if attempt:
                    time.sleep(PAUSE_S)
                problem, again = self._attempt(body)
                if not problem:
                    return
                if not again:
                    break
        except KeyboardInterrupt:  # the verdict is there already, and its exit code stays
            problem = "interrupted"
        text = f"chaos: the notification to {self.shown} was not delivered: {problem}"
        text += "\n  next: the verdict does not depend on it; see the run directory"
        print(printable(text), file=sys.stderr, flush=True)

    def _attempt(self, body: bytes) -> tuple[str, bool]:
        """(what went wrong or "", whether another attempt may help), within `LIMIT_S`."""
        result: list[tuple[str, bool]] = []
        # requests limits each wait for the network, not their sum.
        thread = threading.Thread(
            target=lambda: result.append(self._post(body)), name="notify", daemon=True
        )
        thread.start()
        thread.join(LIMIT_S)
        return result[0] if result else (f"no answer within {LIMIT_S:.0f} s", True)

    def _post(self, body: bytes) -> tuple[str, bool]:
        import requests

        url = self._url
        headers = {"Content-Type": "application/json", "User-Agent": f"chaos/{__version__}"}
        for _ in range(_REDIRECTS_MAX):
            try:
                with requests.post(
                    url,
                    data=body,
                    headers=headers,
                    timeout=LIMIT_S,
                    allow_redirects=False,
                    stream=True,  # the body of the answer is not read
                ) as answer:
                    code, location = answer.status_code, answer.headers.get("Location", "")
            except requests.RequestException as error:  # its text has the address in it
                return type(error).__name__, True
            if code < 300:
                return "", False
            if code not in _KEEPS_METHOD:
                return f"it answered {code}", code in _TRY_AGAIN
            url = urljoin(url, location)
            if _origin(urlsplit(url)) != self.shown:
                return f"it answered {code} and names another host, which is not followed", False
        return "it redirects without end", False


def webhook(url: str | None) -> Webhook | None:
    """The checked address of `--notify`; None without one. Raises `UsageError`."""
    return None if url is None else Webhook(url)


def _checked(url: str) -> SplitResult:
    """The parts of `url`. No message repeats it."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise _wrong("this is not a URL") from None
    if _UNFIT.search(url):
        raise _wrong("a URL has no spaces and no control characters")
    if parts.scheme not in ("http", "https"):
        raise _wrong("the URL must begin with http:// or https://")
    if not host or port == 0:
        raise _wrong("the URL names no host")
    return parts


def _wrong(message: str) -> UsageError:
    return UsageError(message, place="--notify", next_step=_EXAMPLE)


def _origin(parts: SplitResult) -> str:
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    port = "" if parts.port is None else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


def run_content(kind: str, code: int, run: RunDir, **more: Any) -> dict[str, Any]:
    """What is sent about one run. `kind`: run, replay or canary; `code`: the exit code."""
    verdict = _stored(run)
    files = {name: run.path / kind_of.file for name, kind_of in FORMATS.items()}
    return {
        **head(kind, code),
        "run_id": run.run_id,
        "soak": verdict.soak if verdict else run.path.parent.name,
        "verdict": verdict.verdict if verdict else None,
        "reason": verdict.reason if verdict else "the run ended without a verdict",
        "stopped": verdict.stopped if verdict else "cut off",
        "findings": failing(run),
        "paths": {
            "run": str(run.path),
            **{name: str(path) for name, path in files.items() if path.is_file()},
        },
        "reproduce": verdict.reproduce if verdict else "",
        **more,
    }


def failing(run: RunDir) -> list[dict[str, Any]]:
    """The findings of a run that did not pass, each with its first piece of evidence."""
    verdict = _stored(run)
    return [
        {
            "check": finding.check,
            "title": finding.title,
            "outcome": finding.outcome,
            "owner": finding.owner,
            "summary": finding.summary,
            "evidence": [{"ref": one.ref, "text": one.text} for one in list(finding.evidence)[:1]],
        }
        for finding in (verdict.findings if verdict else [])
        if finding.outcome not in ("pass", "skipped")
    ]


def head(kind: str, code: int) -> dict[str, Any]:
    """The keys that everything sent begins with."""
    return {"schema": SCHEMA, "kind": kind, "chaos": __version__, "exit_code": int(code)}


def _stored(run: RunDir) -> Verdict | None:
    try:
        return load(run).verdict if run.verdict.is_file() else None
    except ChaosError:
        return None
