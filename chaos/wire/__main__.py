"""The wire proxy as a process: `python -m chaos.wire --listen H:P --upstream H:P --control H:P`."""

from __future__ import annotations

import argparse
import sys

from chaos.wire.control import Control
from chaos.wire.json_api import JsonApi
from chaos.wire.proxy import WireProxy
from chaos.wire.rules import RuleBook
from chaos.wire.serving import address, listen, run, until_told_to_end


def main(argv: list[str] | None = None) -> int:
    """Serve until SIGTERM; the exit code."""
    parser = argparse.ArgumentParser(prog="chaos.wire", description=__doc__)
    for name, what in (
        ("--listen", "where clients connect"),
        ("--upstream", "the server behind it"),
        ("--control", "where rules are set"),
    ):
        parser.add_argument(name, type=address, required=True, metavar="H:P", help=what)
    args = parser.parse_args(argv)

    async def serve() -> None:
        rules = RuleBook()
        proxy = WireProxy(args.upstream, rules)
        servers = [await listen(args.listen, proxy.serve)]
        # Last: who gets an answer here knows that the proxy listens, too.
        servers.append(await listen(args.control, JsonApi(Control(rules, proxy).route).serve))
        await until_told_to_end()
        rules.clear()
        for server in servers:
            server.close()
        await proxy.end()

    return run("chaos.wire", serve)


if __name__ == "__main__":
    sys.exit(main())
