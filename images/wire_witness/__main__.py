"""Shows what goes over TCP connections of this machine's own interface, as HTTP exchanges.

    python images/wire_witness llm=8080                            prints a JSON line an exchange
    python images/wire_witness --record wire.jsonl --pcap wire.pcap llm=8080 upstream=8081

Passive: it cannot disturb what it sees. Needs the right to capture (CAP_NET_RAW). Ends with SIGTERM
or Ctrl-C.
"""

from __future__ import annotations

import argparse
import json
import select
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from capture import Capture, PcapFile
from exchanges import Connection
from streams import End, Segment, segment_of

_LOOK_S = 0.2
_SILENT_AFTER_S = 150.0  # Linux gives up a connection that nobody takes after 130 s


class Wire:
    """All connections to the links' ports. `links`: name -> port."""

    def __init__(self, links: dict[str, int], stream: TextIO) -> None:
        self._names = {port: name for name, port in links.items()}
        self._stream = stream
        self._connections: dict[tuple[End, End], Connection] = {}
        self._began_s: dict[tuple[End, End], float] = {}
        self._number = 0

    def see(self, segment: Segment) -> None:
        """Take the next segment."""
        from_client = segment.target.port in self._names
        ends = (segment.source, segment.target) if from_client else (segment.target, segment.source)
        connection = self._connections.get(ends)
        if connection is None or (segment.opens and connection.over):
            if not segment.opens or not from_client:
                return  # of a connection that is over, or was there before
            connection = self._new(ends, segment)
        if from_client:
            connection.from_client(segment)
        else:
            connection.from_server(segment)
        if connection.over:
            self._forget(ends)

    def _new(self, ends: tuple[End, End], segment: Segment) -> Connection:
        self._number += 1
        link = self._names[ends[1].port]
        connection = Connection(self._number, link, segment, self.write)
        self._connections[ends] = connection
        self._began_s[ends] = segment.time_s
        return connection

    def _forget(self, ends: tuple[End, End]) -> None:
        del self._connections[ends], self._began_s[ends]

    def expire(self, now_s: float) -> None:
        """Give up connections that nobody took: nothing more is sent of them."""
        for ends, began_s in list(self._began_s.items()):
            if now_s - began_s > _SILENT_AFTER_S and not self._connections[ends].accepted:
                self._connections[ends].finish(now_s)
                self._forget(ends)

    def close(self, now_s: float) -> None:
        """Note what is still open."""
        for connection in self._connections.values():
            connection.finish(now_s)
        self._connections.clear()

    def write(self, **facts: Any) -> None:
        """One line; times rounded to the microsecond."""
        known = {
            name: round(value, 6) if isinstance(value, float) else value
            for name, value in facts.items()
            if value is not None
        }
        self._stream.write(json.dumps(known, ensure_ascii=True) + "\n")


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python images/wire_witness",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--record", type=Path, help="append the lines there (default: stdout)")
    parser.add_argument("--pcap", type=Path, help="keep the frames there, for Wireshark")
    parser.add_argument("--interface", default="lo", help="capture there (default: lo)")
    parser.add_argument("links", nargs="+", type=_link, metavar="NAME=PORT")
    return parser.parse_args(argv)


def _link(text: str) -> tuple[str, int]:
    name, _, port = text.partition("=")
    if not name or not port.isdecimal() or not 0 < int(port) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=PORT")
    return name, int(port)


def main(argv: Sequence[str]) -> int:
    """Capture until a signal; returns the exit code (4: capturing is not allowed)."""
    options = _arguments(argv)
    links = dict(options.links)
    stopped: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: stopped.append(number))
    try:
        capture = Capture(list(links.values()), options.interface)
    except OSError as error:
        print(f"wire witness: cannot capture on {options.interface}: {error}", file=sys.stderr)
        return 4
    pcap = PcapFile(options.pcap) if options.pcap else None
    stream = options.record.open("a", encoding="utf-8") if options.record else sys.stdout
    wire = Wire(links, stream)
    dropped = 0
    while True:
        ending = bool(stopped)  # what has come before the signal is still read
        select.select([capture], [], [], 0 if ending else _LOOK_S)
        seen = 0
        for time_ns, frame in capture.frames():
            seen += 1
            if pcap is not None:
                pcap.write(time_ns, frame)
            segment = segment_of(time_ns, frame)
            if segment is not None:
                wire.see(segment)
        wire.expire(time.time())
        lost, dropped = dropped, capture.dropped()
        if dropped > lost:
            wire.write(time_s=time.time(), dropped=dropped)
        if ending and not seen:
            break
        stream.flush()
        if pcap is not None:
            pcap.flush()
    wire.close(time.time())
    stream.flush()
    if pcap is not None:
        pcap.close()
    capture.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
