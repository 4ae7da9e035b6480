"""A daemon that has a second connection, to a price server, beside the one to its LLM."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chaos.base.deadline import Deadline
from chaos.base.errors import UsageError
from chaos.faults.base import Fault, parse_params
from chaos.faults.llm_tcp.no_answer import LLMRefused, LLMTimeout
from chaos.record.history import FaultRecord
from chaos.record.open_run import OpenRun
from chaos.runner.judge import verdict_of
from chaos.runner.resolve import Request, resolve
from chaos.stack.llm_probe import completes, healthy
from chaos.targets.check import errors_in
from tests.ports import free_ports
from tests.records import unpacked
from tests.targets.habits.llm_stacks import SERVER, addresses, brought_up, read, written

TARGET = """
target: two_links
watcher: {{start: [sleep, "600"]}}
services:
  prices:
    start: ["{{python}}", server.py, "127.0.0.1:{upstream}"]
    ready_url: "http://127.0.0.1:{upstream}/v1/models"
work: {{submit: {{folder: inbox}}, done: outbox/*, body: {{id: "{{id}}"}}}}
workspace: {{install: [{{source: {server}, to: server.py}}]}}
links:
  prices: {{endpoint: "127.0.0.1:{endpoint}", upstream: "127.0.0.1:{upstream}", probe: {probe}}}
llm:
  server: {{command: ["{{python}}", server.py, "{{host}}:{{port}}"]}}
  {llm}
"""


def text(probe: str = "/v1/models", endpoint: int = 0, name: str = "prices") -> str:
    own, upstream = free_ports(2)
    llm = "\n  ".join(f"{key}: {value}" for key, value in addresses().items())
    said = TARGET.format(
        server=SERVER, upstream=upstream, endpoint=endpoint or own, probe=probe, llm=llm
    )
    return said.replace("links:\n  prices", f"links:\n  {name}")


def make(kind: type[Fault], **values: str) -> Fault:
    return kind("f001", parse_params(kind, {**values}, place="test"))


def test_a_fault_breaks_the_link_that_it_names_and_no_other(tmp_path: Path) -> None:
    with brought_up(tmp_path, read(tmp_path, text())) as stack:
        link = stack.links["prices"]
        for kind in (LLMRefused, LLMTimeout):
            fault = make(kind, link="prices")
            fault.undo_record(stack)
            fault.inject(stack)
            effect = fault.effect(stack, Deadline(20))
            assert effect.proven, effect.measured
            assert not effect.measured["cuts_llm"]
            assert completes(stack.proxied_llm, 30)
            fault.recover(stack)
            assert fault.recovered(stack, Deadline(20)).proven
            assert healthy(link.proxied, 5)
        other = make(LLMRefused)  # the LLM's own
        other.inject(stack)
        assert healthy(link.proxied, 5) and not completes(stack.proxied_llm, 2)
        other.recover(stack)


def test_its_break_excuses_nothing_of_the_llm() -> None:
    assert make(LLMTimeout).traits()["affects_llm"]
    traits = make(LLMTimeout, link="prices").traits()
    assert (traits["affects_llm"], traits["link"]) == (False, "prices")


def test_a_fault_on_a_link_that_cannot_be_proven_is_refused(tmp_path: Path) -> None:
    path = str(written(tmp_path, text()))
    assert resolve(Request("soak_b", target=path, faults=["llm_reset:link=prices"])).faults
    path = str(written(tmp_path, text(probe='""')))
    with pytest.raises(UsageError, match="has no probe"):
        resolve(Request("soak_b", target=path, faults=["llm_reset:link=prices"]))


def test_what_cannot_be_a_link_is_said_with_its_line(tmp_path: Path) -> None:
    taken = int(text().partition("proxy_api: 127.0.0.1:")[2].partition("\n")[0])
    said = text(probe="health", name="control", endpoint=taken)
    said = said.replace("proxy_api: 127.0.0.1:", f"proxy_api: 127.0.0.1:{taken} #", 1)
    wrong = {error.place.split()[-1]: error for error in errors_in(str(written(tmp_path, said)))[2]}
    assert {"links.control", "links.control.endpoint", "links.control.probe"} <= wrong.keys()
    assert "llm.proxy_api" in wrong["links.control.endpoint"].message


def test_paths_of_the_llm_are_not_asked_of_another_link(tmp_path: Path) -> None:
    """The same recorded run, with the fault on another link: nothing is said of its paths."""
    run = unpacked("soak_b_llm_timeout", tmp_path)
    lines = [json.loads(line) for line in run.history.read_text().splitlines()]
    for line in lines:
        if line.get("state") == "armed":
            line["evidence"]["traits"] |= {"affects_llm": False, "link": "prices"}
    run.history.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with OpenRun(run) as opened:
        assert any(isinstance(r, FaultRecord) for w in opened.faults for _, r in w.states.values())
        assert not [f for f in verdict_of(opened).findings if f.check == "paths_taken"]
