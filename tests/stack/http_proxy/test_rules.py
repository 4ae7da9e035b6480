"""Which requests a rule strikes, how they are counted, and rules that are refused."""

from __future__ import annotations

from typing import Any

import pytest

from chaos.stack.http_proxy.rules import Match
from tests.stack.http_proxy.client import ask
from tests.stack.http_proxy.conftest import Wire


def test_every_and_nth_select_the_struck_requests(wire: Wire) -> None:
    def statuses() -> list[int]:
        return [ask(wire.port, "/completion").status for _ in range(6)]

    wire.rule("status", status=500, match={"every": 3})
    assert statuses() == [200, 200, 500, 200, 200, 500]
    wire.rule("status", status=500, match={"nth": 2})
    assert statuses() == [200, 500, 200, 200, 200, 200]
    assert wire.counters() == (6, 1)
    wire.rule("status", status=500, match={"first": 2})
    assert statuses() == [500, 500, 200, 200, 200, 200]
    wire.rule("status", status=500, match={"every": 3, "burst": 2})
    assert statuses() == [200, 500, 500, 200, 500, 500]
    wire.rule("status", status=500, match={"path": "*"})
    assert ask(wire.port, "/health", b"", method="GET").status == 500


def test_cycle_strikes_in_its_first_part_only() -> None:
    match = Match(active_s=2.0, cycle_s=10.0)
    due = [age_s for age_s in range(25) if match.due(1, float(age_s))]
    assert due == [0, 1, 10, 11, 20, 21]


def test_rule_covers_its_path_and_the_paths_other_names() -> None:
    def covered(rule: str) -> list[str]:
        paths = ("/completion", "/completions", "/v1/completions", "/chat/completions", "/health")
        return [path for path in paths if Match(path=rule).covers(path)]

    assert covered("completions") == [
        *("/completion", "/completions", "/v1/completions", "/chat/completions")
    ]
    assert covered("/completion") == ["/completion", "/completions"]
    assert covered("/v1/chat/completions") == ["/chat/completions"]
    assert covered("/health") == ["/health"] and len(covered("*")) == 5


def test_probes_of_the_harness_bring_their_own_number(wire: Wire) -> None:
    """They take no turn of the daemon's, and are counted apart."""

    def probe(number: int) -> int:
        headers = f"User-Agent: chaos\r\nX-Chaos-Probe: {number}\r\n"
        return ask(wire.port, "/completion", headers=headers).status

    wire.rule("status", status=500, match={"first": 2})
    assert [probe(number) for number in (1, 2, 3, 1)] == [500, 500, 200, 500]
    assert [ask(wire.port, "/completion").status for _ in range(3)] == [500, 500, 200]
    (rule,) = wire.control("GET", "/rules")[1]["rules"]
    assert (rule["seen"], rule["struck"], rule["probes_struck"]) == (3, 2, 3)


def test_forms_in_which_the_daemon_asked_are_counted(wire: Wire) -> None:
    bodies = [b"{}", b"{}", b'{"stream": true, "tools": [{}]}', b"no JSON", b"[]"]
    for body in bodies:
        ask(wire.port, "/chat/completions", body)
    ask(wire.port, "/completion", headers="User-Agent: chaos\r\n")
    ask(wire.port, "/health", b"", method="GET")
    chat = {"path": "/v1/chat/completions"}
    assert wire.control("GET", "/asked")[1]["asked"] == [
        {**chat, "count": 2, "stream": False, "tools": False},
        {**chat, "count": 1, "stream": True, "tools": True},
    ]


def test_removed_rule_strikes_no_more_and_removal_is_idempotent(wire: Wire) -> None:
    wire.rule("status", status=500)
    assert wire.control("DELETE", "/rule/r") == (200, {"removed": True})
    assert wire.control("DELETE", "/rule/r") == (200, {"removed": False})
    assert ask(wire.port, "/completion").status == 200
    assert wire.control("GET", "/rules")[1] == {"rules": []}


# The control API


@pytest.mark.parametrize(
    ("rule", "named"),
    [
        ([], "object"),
        ({"kind": "delay"}, "id"),
        ({"id": "x", "kind": "explode"}, "kind"),
        ({"id": "x", "kind": []}, "kind"),
        ({"id": "x", "kind": "status"}, "status"),
        ({"id": "x", "kind": "status", "params": {"status": 418}}, "status"),
        ({"id": "x", "kind": "delay", "params": {"delay_s": -1}}, "delay_s"),
        ({"id": "x", "kind": "delay", "params": {"delay_s": 1, "after_bytes": 1}}, "after_bytes"),
        ({"id": "x", "kind": "stall", "params": {"after_bytes": True}}, "after_bytes"),
        ({"id": "x", "kind": "stall", "params": {"after_bytes": 1, "after_tokens": 1}}, "exclude"),
        ({"id": "x", "kind": "stall", "params": {"mid_event": True}}, "mid_event"),
        ({"id": "x", "kind": "tool_call", "params": {"defect": "all"}}, "defect"),
        ({"id": "x", "kind": "no_end", "params": {"content": "x"}}, "content"),
        ({"id": "x", "kind": "stall", "match": {"first": 1, "nth": 1}}, "exclude"),
        ({"id": "x", "kind": "stall", "match": {"burst": 2}}, "burst"),
        ({"id": "x", "kind": "stall", "match": {"cycle_s": 2}}, "active_s"),
        ({"id": "x", "kind": "stall", "match": {"every": 0}}, "every"),
        ({"id": "x", "kind": "stall", "match": {"every": 1, "nth": 1}}, "exclude"),
        ({"id": "x", "kind": "stall", "match": {"path": "completion"}}, "path"),
        ({"id": "x", "kind": "truncate", "params": {"length": "long"}}, "length"),
    ],
)
def test_malformed_rule_is_refused_with_its_key(wire: Wire, rule: Any, named: str) -> None:
    status, answer = wire.control("PUT", "/rule", rule)
    assert status == 400
    assert named in answer["error"]
    assert wire.control("GET", "/rules")[1] == {"rules": []}


def test_rules_are_limited_and_unknown_calls_are_refused(wire: Wire) -> None:
    answers = [wire.control("PUT", "/rule", {"id": f"r{n}", "kind": "stall"})[0] for n in range(65)]
    assert answers == [200] * 64 + [400]
    assert wire.control("GET", "/rule")[0] == 404
