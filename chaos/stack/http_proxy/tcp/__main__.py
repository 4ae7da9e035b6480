"""The built-in TCP proxy as a process: `python -m chaos.stack.http_proxy.tcp --api H:P`."""

import argparse
import sys

from chaos.stack.http_proxy.json_api import JsonApi
from chaos.stack.http_proxy.serving import address, listen, run, until_signal
from chaos.stack.http_proxy.tcp.api import Api


def main(argv: list[str] | None = None) -> int:
    """Serve until SIGTERM; the exit code."""
    parser = argparse.ArgumentParser(prog="chaos.stack.http_proxy.tcp", description=__doc__)
    parser.add_argument(
        "--api", type=address, required=True, metavar="H:P", help="where its API listens"
    )
    args = parser.parse_args(argv)

    async def serve() -> None:
        api = Api()
        server = await listen(args.api, JsonApi(api.route).serve)
        await until_signal()
        server.close()
        await api.end()

    return run("chaos.stack.http_proxy.tcp", serve)


if __name__ == "__main__":
    sys.exit(main())
