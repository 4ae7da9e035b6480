"""The control API of the wire proxy.

| call | effect |
|---|---|
| `PUT /rule` | sets a rule; its id is the key |
| `DELETE /rule/ID` | removes it and releases the answers it holds; 200 also if there is none |
| `GET /rules` | the rules in force with their counters |
| `GET /stats` | counters of the proxy |
| `GET /asked` | the forms in which the daemon asked for completions, with their counts |
"""

from dataclasses import asdict
from typing import Any

from chaos.stack.http_proxy.proxy import WireProxy
from chaos.stack.http_proxy.rules import BadRule, RuleBook

_CALLS = "PUT /rule, DELETE /rule/ID, GET /rules, GET /stats, GET /asked"


class Control:
    """Answers the control calls. See `chaos.stack.http_proxy.json_api.Route`."""

    def __init__(self, rules: RuleBook, proxy: WireProxy) -> None:
        self._rules = rules
        self._proxy = proxy

    async def route(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        if (method, path) == ("GET", "/stats"):
            return 200, self._proxy.stats()
        if (method, path) == ("GET", "/asked"):
            forms = self._proxy.asked.most_common()
            return 200, {"asked": [{"count": count, **asdict(form)} for form, count in forms]}
        if (method, path) == ("GET", "/rules"):
            return 200, {"rules": self._rules.to_json()}
        if (method, path) == ("PUT", "/rule"):
            try:
                return 200, self._rules.put(body).to_json()
            except BadRule as error:
                return 400, {"error": str(error)}
        if method == "DELETE" and path.startswith("/rule/"):
            return 200, {"removed": self._rules.remove(path.removeprefix("/rule/"))}
        return 404, {"error": f"no such call; known: {_CALLS}"}
