"""The wire proxy as a process.

`python -m chaos.stack.http_proxy --listen H:P --upstream H:P --control H:P`
"""

import argparse
import sys

from chaos.stack.http_proxy.control import Control
from chaos.stack.http_proxy.json_api import JsonApi
from chaos.stack.http_proxy.proxy import WireProxy
from chaos.stack.http_proxy.rules import RuleBook
from chaos.stack.http_proxy.serving import address, listen, run, until_signal


def main(argv: list[str] | None = None) -> int:
    """Serve until SIGTERM; the exit code."""
    parser = argparse.ArgumentParser(prog="chaos.stack.http_proxy", description=__doc__)
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
        # Last, so that an answer here means that the proxy listens, too.
        servers.append(await listen(args.control, JsonApi(Control(rules, proxy).route).serve))
        await until_signal()
        rules.clear()
        for server in servers:
            server.close()
        await proxy.end()

    return run("chaos.stack.http_proxy", serve)


if __name__ == "__main__":
    sys.exit(main())
