"""The application: which address shows what. Reads only.

    /                     runs, gates and batches of the folder
    /runs/ID              a run: its page, or its live view; a gate: its page, or its steps;
                          a sweep, comparison or campaign: its page, or its runs
    /runs/ID/live         the live view; /runs/ID/events feeds it
    /runs/ID/PATH         a file of the run, of the gate or of the batch
    /compare?a=ID&b=ID    two runs laid over each other
    /metrics              OpenMetrics
    /static/NAME          our scripts and the style sheet

ID is the path of a run below the folder. Only what the list of runs holds, and the runs of its
batches, is ever opened.
"""

import os
import threading
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from chaos.base.below import is_regular
from chaos.base.errors import ChaosError
from chaos.record.batch_list import KINDS, BatchEntry
from chaos.record.gate_list import GateEntry
from chaos.record.run_list import Listing, RunEntry, RunList, is_running
from chaos.serve import files, pages
from chaos.serve.compare import Overlays, verdict_of
from chaos.serve.index import Filter
from chaos.serve.live import LiveRun
from chaos.serve.metrics import CONTENT_TYPE, LiveRuns, metrics_text
from chaos.serve.stream import Streams

_RUN_PARTS = (4, 2)  # of an id: that of a gate's run, that of any other
_BATCH_PARTS = (4, 2)  # of an id: that of a gate's sweep, that of any other batch


class Site:
    """What the pages are made of, for one folder of runs."""

    def __init__(self, root: Path, closing: Callable[[], bool]) -> None:
        self.root = root
        self.list = RunList(root)
        self.streams = Streams(closing)
        self.overlays = Overlays(root)
        self._live = LiveRuns(root)
        self._live_lock = threading.Lock()

    def ready(self) -> Listing:
        """The list, read and drawn once: the first answer then takes no longer than the others."""
        listing = self.list.read()
        pages.index(self.root, listing, Filter(), "")
        return listing

    # -- answers ------------------------------------------------------------------------------

    def index(self, request: Request) -> Response:
        """The list of runs, gates and batches."""
        listing = self.list.read()
        number = request.query_params.get("page", "")
        return pages.index(self.root, listing, Filter.of(request.query_params), number)

    def below_runs(self, request: Request) -> Response:
        """Whatever is below `/runs/`."""
        # From the bytes of the address: a name may be no UTF-8.
        raw = unquote_to_bytes(request.scope["raw_path"])
        parts = os.fsdecode(raw).removeprefix("/runs/").rstrip("/").split("/")
        listing = self.list.read()
        run, rest = _run_of(listing, parts)
        if run is not None:
            return self._run(request, listing, run, rest)
        batch, below = _batch_of(listing, parts)
        if batch is not None:
            return self._batch(request, listing, batch, below)
        gate, rest = _gate_of(listing, parts)
        if gate is not None:
            return self._gate(request, listing, gate, rest)
        return pages.missing(f"there is no run {'/'.join(parts)}")

    def _run(self, request: Request, listing: Listing, run: RunEntry, rest: str) -> Response:
        if rest == "":
            has_page = is_regular(self.root, f"{run.id}/{files.PAGE}")
            goes_on = run.state == "running"
            return _redirect(run.id, files.PAGE if has_page and not goes_on else "live")
        if rest == "live":
            return self._live_page(run)
        if rest == "events":
            return self._events(run)
        return self._file(request, run.id, rest, lambda: pages.run_bar(listing, run))

    def _gate(self, request: Request, listing: Listing, gate: GateEntry, rest: str) -> Response:
        if rest == "":
            has_page = is_regular(self.root, f"{gate.id}/{files.PAGE}")
            return _redirect(gate.id, files.PAGE) if has_page else pages.gate(listing, gate)
        return self._file(request, gate.id, rest, pages.gate_bar)

    def _batch(
        self, request: Request, listing: Listing, batch: BatchEntry, below: list[str]
    ) -> Response:
        run, rest = self.list.run_of(batch.id, below)
        if run is not None:
            return self._run(request, listing, run, "/".join(rest))
        if below:
            bar = partial(pages.batch_bar, batch)
            return self._file(request, batch.id, "/".join(below), bar)
        page = KINDS[batch.noun].page
        has_page = is_regular(self.root, f"{batch.id}/{page}")
        if has_page and batch.ended:  # its page is written when it is left
            return _redirect(batch.id, page)
        return pages.batch(batch, self.list.runs_of(batch.id), page if has_page else "")

    def _file(self, request: Request, entry: str, rest: str, bar: Callable[[], str]) -> Response:
        relative = f"{entry}/{rest}"
        try:
            if rest in files.PAGES:
                return files.page(self.root, relative, bar())
            return files.file(self.root, relative, head=request.method == "HEAD")
        except OSError as error:
            return pages.missing(f"{relative}: {error.strerror or 'it cannot be read'}")

    def _live_page(self, run: RunEntry) -> Response:
        try:
            live = LiveRun(self.root, run.id)
        except ChaosError as error:
            return pages.problem(self.root, run.problem or str(error), run.id)
        try:
            live.advance()
            return pages.live(self.root, run, live)
        except ChaosError as error:
            return pages.problem(self.root, str(error), run.id)
        finally:
            live.close()

    def _events(self, run: RunEntry) -> Response:
        if self.streams.full:
            return Response(
                "too many live views are open; close one\n",
                503,
                {"Retry-After": "5"},
                "text/plain",
            )
        events: AsyncIterator[bytes] = self.streams.events(
            lambda: LiveRun(self.root, run.id), lambda: self._result(run.id)
        )
        return StreamingResponse(events, media_type="text/event-stream")

    def _result(self, run_id: str) -> dict[str, Any] | None:
        """How the run ended; None as long as it goes on."""
        if is_running(self.root, run_id):
            return None
        listing = self.list.read()
        entry = next((run for run in listing.runs if run.id == run_id), None)
        batch, below = _batch_of(listing, run_id.split("/"))
        if entry is None and batch is not None:
            entry, _ = self.list.run_of(batch.id, below)
        return {"word": "gone" if entry is None else entry.word, "href": pages.href(run_id)}

    def compare(self, request: Request) -> Response:
        """Two runs laid over each other."""
        listing = self.list.read()
        chosen = [request.query_params.get(name, "") for name in ("a", "b")]
        entries = [next((r for r in listing.runs if r.id == name), None) for name in chosen]
        a, b = entries
        if a is None or b is None:
            wrong = [name for name, entry in zip(chosen, entries, strict=True) if entry is None]
            return pages.missing(
                f"there is no run {' and no run '.join(wrong)}"
                if any(wrong)
                else "choose two runs of the list: one as A, one as B"
            )
        try:
            verdicts = verdict_of(self.root, a.id), verdict_of(self.root, b.id)
        except ChaosError as error:
            return pages.problem(self.root, str(error))
        try:
            overlay, problem = self.overlays.of(a.id, b.id), ""
        except ChaosError as error:
            overlay, problem = {}, str(error)
        return pages.compare((a, b), verdicts, overlay, problem)

    def metrics(self, _request: Request) -> Response:
        """OpenMetrics."""
        listing = self.list.read()
        with self._live_lock:
            live = self._live.follow(run for run in listing.runs if run.state == "running")
            text = metrics_text(listing, live, streams=self.streams.count)
        return Response(text, headers={"Content-Type": CONTENT_TYPE})


def application(site: Site) -> Starlette:
    """The routes of `site`."""
    return Starlette(
        routes=[
            Route("/", site.index),
            Route("/runs/{rest:path}", site.below_runs),
            Route("/compare", site.compare),
            Route("/metrics", site.metrics),
            Route("/static/{name}", pages.static),
        ],
        exception_handlers={HTTPException: _no_such_address, Exception: _defect},
    )


def _no_such_address(request: Request, _error: Exception) -> Response:
    return pages.missing(f"there is nothing at {request.url.path}")


def _defect(_request: Request, _error: Exception) -> Response:
    # The exception goes on to `Guard`, which tells it in the terminal.
    return PlainTextResponse("a defect of chaos serve; see its terminal\n", 500)


def _redirect(entry: str, name: str) -> Response:
    return RedirectResponse(f"{pages.href(entry)}/{name}", 302)


def _run_of(listing: Listing, parts: list[str]) -> tuple[RunEntry | None, str]:
    """(the run, the rest of the path) of an address."""
    ids = {"/".join(parts[:count]): parts[count:] for count in _RUN_PARTS if len(parts) >= count}
    for run in listing.runs:
        if run.id in ids:
            return run, "/".join(ids[run.id])
    return None, ""


def _batch_of(listing: Listing, parts: list[str]) -> tuple[BatchEntry | None, list[str]]:
    """(the batch, the rest of the path) of an address."""
    ids = {"/".join(parts[:count]): parts[count:] for count in _BATCH_PARTS if len(parts) >= count}
    for batch in listing.batches:
        if batch.id in ids:
            return batch, ids[batch.id]
    return None, []


def _gate_of(listing: Listing, parts: list[str]) -> tuple[GateEntry | None, str]:
    name = "/".join(parts[:2])
    gate = next((gate for gate in listing.gates if gate.id == name), None)
    return gate, "/".join(parts[2:])
