"""What every request passes: only this machine's own names, only reading, headers on every answer.

A web page of somebody else may make the user's browser ask a server on loopback. So a foreign Host
(DNS rebinding) and requests from other sites are refused. Must not know what is served.
"""

import sys

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chaos.base.printable import printable

METHODS = ("GET", "HEAD")
# For our own pages: scripts and styles are files of this server, and nothing else is asked for.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """Wraps an application that listens to `port`."""

    def __init__(self, app: ASGIApp, port: int) -> None:
        self._app = app
        self._hosts = [f"{name}:{port}" for name in ("127.0.0.1", "localhost")]
        if port == 80:  # which a browser leaves out
            self._hosts += ["127.0.0.1", "localhost"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def with_headers(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("Content-Security-Policy", POLICY)
            await send(message)

        answer = self._refusal(scope)
        try:
            await (answer or self._app)(scope, receive, with_headers)
        except Exception as error:  # a defect of ours: one line for us, none of it for the page
            text = f"{scope['path']}: {type(error).__name__}: {error}"
            print(
                printable(f"chaos serve: a defect: {' '.join(text.split())}"),
                file=sys.stderr,
                flush=True,
            )
            if not begun:
                failed = PlainTextResponse("a defect of chaos serve; see its terminal\n", 500)
                await failed(scope, receive, with_headers)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if headers.get("host", "").lower() not in self._hosts:
            return PlainTextResponse(f"this is {self._hosts[0]}, and no other host\n", 421)
        if scope["method"] not in METHODS:
            return PlainTextResponse("only reading\n", 405, {"Allow": ", ".join(METHODS)})
        site = headers.get("sec-fetch-site", "none")
        if site in ("cross-site", "same-site") and headers.get("sec-fetch-mode") != "navigate":
            return PlainTextResponse("not for other sites\n", 403)
        return None
