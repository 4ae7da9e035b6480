"""Run fault kinds on one real stack in the sandbox: each as it is, and as its no-op twin.

    python -m tests.faults.on_stack disk_full:hold=3s llm_timeout:hold=4s

Each argument is what `--fault` takes. The twins come first, all at the same time: they break
nothing, so none may prove an effect. Then come the faults, one after the other: effect and recovery
must be proven. Meanwhile draws arrive, and a request is submitted when a fault is in force (the
queue's kinds submit their own). Exit code 1 if any kind fails.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaos.assets import cache, locate
from chaos.base.deadline import Deadline
from chaos.base.errors import ChaosError
from chaos.faults.base import Fault, noop_twin
from chaos.faults.ledger import Ledger
from chaos.faults.lifecycle import Occurrence, Storm
from chaos.faults.registry import fault_kind
from chaos.record.history import FaultRecord, FaultState, HistoryWriter, read_history
from chaos.record.rundir import RunDir
from chaos.runner.options import merge_params, split_fault
from chaos.runner.resolve import read_target
from chaos.sandbox.command import guardian_argv
from chaos.sandbox.enter import enter, inside
from chaos.sandbox.probe import require
from chaos.soaks.requests import RequestSubmitter
from chaos.soaks.waiting import unanswered
from chaos.stack.base import Stack
from chaos.stack.llm_api import CHAT, request_body
from chaos.stack.local.backend import LocalBackend
from chaos.stack.outages import Outages
from tests.waiting import wait_for

REPO = Path(__file__).resolve().parents[2]
# Few draws: each costs seconds of processor time, and the requests are enough.
SETTINGS = {"draw_interval_s": 40, "llm_timeout_s": 3, "llm_attempts": 2}
OFTEN = {"draw_interval_s": 5}  # for the kinds that are proven by draws
TWIN_HOLD_S = 6.0  # long enough for a probe that proves too easily
PROOF_LIMIT_S = 60.0  # a busy machine takes long to stop a server and to load a model
LIMIT_S = 550
_CHAT_LIMIT_S = 20.0
_SETTLE_LIMIT_S = 240.0  # a busy machine works slowly


@dataclass(frozen=True)
class Outcome:
    """The states of one fault and of its twin, with their evidence."""

    fault: str
    states: dict[str, dict[str, Any]]
    twin: dict[str, dict[str, Any]]

    @property
    def unavailable(self) -> str:
        """Why it cannot be injected here; empty when it can."""
        return str(self.states.get("unavailable", {}).get("reason", ""))

    @property
    def problems(self) -> list[str]:
        """Empty if the fault was proven and its twin was not."""
        if self.unavailable:
            return []
        wanted = ("injected", "effect_proven", "recovered", "closed")
        missing = [f"not {state}" for state in wanted if state not in self.states]
        return missing + (["the twin claims an effect"] if "effect_proven" in self.twin else [])


def run_faults(faults: Sequence[str]) -> list[Outcome]:
    """Run `faults` one after the other on one stack. Raises `RuntimeError` with the output."""
    settings = OFTEN if any(text.startswith("injector_") for text in faults) else {}
    with tempfile.TemporaryDirectory(prefix="chaos-faults-") as folder:
        run = RunDir(Path(folder) / uuid.uuid4().hex)
        run.logs.mkdir(parents=True)
        run.artefacts.mkdir()
        run.config.write_text(json.dumps({"faults": list(faults), "settings": settings}))
        argv = guardian_argv(
            [sys.executable, "-m", "tests.faults.on_stack", "--inside", str(run.path)],
            run_id=run.run_id,
            mode="namespaces",
            user_namespace=require().user,
        )
        paths = [str(REPO), os.environ.get("PYTHONPATH", "")]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
        done = subprocess.run(
            argv, env=env, cwd=REPO, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
        if done.returncode != 0:
            logs = "\n".join(
                f"--- {path.name}\n{path.read_text(errors='replace')[-2000:]}"
                for path in sorted(run.logs.glob("*.log"))
            )
            raise RuntimeError(f"exit code {done.returncode}\n{done.stdout}{done.stderr}\n{logs}")
        return [Outcome(**raw) for raw in json.loads((run.path / "outcomes.json").read_text())]


# Kinds that need a dispatch while they are armed: the draws alone may cause none.
STRIKES_WORK = frozenset({"watcher_dispatch_crash"})
_WORK = 4


# -- inside the sandbox -----------------------------------------------------------------------


def _occurrence(text: str, fault_id: str, *, twin: bool) -> Occurrence:
    name, given = split_fault(text)
    kind: type[Fault] = fault_kind(name)
    values = merge_params(kind, given, {}, given_place=text, defaults_place=text)
    hold_s = float(values.get("hold", 0.0))
    if twin:
        kind, hold_s = noop_twin(kind), min(hold_s, TWIN_HOLD_S)
    return Occurrence(fault_id, kind(fault_id, values), 0.0, hold_s)


def _backend(run: RunDir, settings: dict[str, Any], needs: frozenset[str]) -> LocalBackend:
    assets = locate()
    enter([run.path, REPO, cache.cache_dir(), *assets.files])
    target = read_target("reference")[1]
    return LocalBackend(
        target, settings, run, assets, REPO / "images", sandboxed=inside(), needs=needs
    )


def _inside(run: RunDir) -> int:
    asked = json.loads(run.config.read_text())
    kinds = [fault_kind(split_fault(text)[0]) for text in asked["faults"]]
    needs = frozenset(need for kind in kinds for need in kind.needs) | {"witness"}
    backend = _backend(run, {**SETTINGS, **asked["settings"]}, needs)
    history = HistoryWriter(run.history, "on-stack")
    stack = backend.up(lambda step: None)
    try:
        stack.service("injector").start()
        if "wire" in needs:
            _ask_by_openais_api(stack)
        runner = _Runner(stack, history, run)
        runner.run_twins(asked["faults"])
        for number, text in enumerate(asked["faults"], start=1):
            runner.run(_occurrence(text, f"f{number:03d}", twin=False))
    finally:
        left = backend.down()
        history.close()
    outcomes = [
        {
            "fault": text,
            "states": _states(run, f"f{number:03d}"),
            "twin": _states(run, f"t{number:03d}"),
        }
        for number, text in enumerate(asked["faults"], start=1)
    ]
    (run.path / "outcomes.json").write_text(json.dumps(outcomes))
    if left:
        print(f"left behind: {left}", file=sys.stderr)
    return 1 if left else 0


def _ask_by_openais_api(stack: Stack) -> None:
    """As a daemon asks that streams chats with tools: some kinds strike only those."""
    tool = {"type": "function", "function": {"name": "decide", "parameters": {"type": "object"}}}
    body = request_body(CHAT, "So?", 4, stream=True, tools=[tool])
    where = str(stack.proxied_llm)

    def answered() -> bool:
        link = http.client.HTTPConnection(where, timeout=_CHAT_LIMIT_S)
        with closing(link):
            link.request("POST", CHAT, json.dumps(body))
            answer = link.getresponse()
            answer.read()
            return answer.status == 200

    not_yet = (OSError, http.client.HTTPException)  # the Watcher may have stopped the server
    wait_for("a chat is answered", answered, not_yet=not_yet)


class _Runner:
    """Runs occurrences on one stack, and submits requests meanwhile."""

    def __init__(self, stack: Stack, history: HistoryWriter, run: RunDir) -> None:
        self._stack, self._history = stack, history
        self._ledger = Ledger(run.ledger)
        self._submitter = RequestSubmitter(stack.workspace, stack.target.work, history)

    def run_twins(self, texts: Sequence[str]) -> None:
        """Run each in a storm of its own, since incompatible kinds would wait for each other.

        The first one submits requests for all; kinds that need a dispatch submit their own.
        """
        twins = [_occurrence(text, f"t{n:03d}", twin=True) for n, text in enumerate(texts, start=1)]
        with ThreadPoolExecutor(len(twins)) as threads:
            futures = [
                threads.submit(
                    self.run,
                    one,
                    ask=one is twins[0] or one.fault.name in STRIKES_WORK,
                    proof_s=0.0,
                )
                for one in twins
            ]
        for future in futures:
            future.result()

    def run(self, one: Occurrence, *, ask: bool = True, proof_s: float = PROOF_LIMIT_S) -> None:
        """Run it, and wait until the queue is empty, so that it does not affect the next one."""
        storm = Storm(
            self._stack,
            self._history,
            self._ledger,
            threading.Event(),
            outages=Outages(),
            on_state=self._ask if ask else lambda occurrence, state: None,
            proof_s=proof_s,
        )
        storm.run([Occurrence(one.fault_id, one.fault, self._history.now_s() + 1.1, one.hold_s)])
        settle = Deadline(_SETTLE_LIMIT_S)
        queue = self._stack.target.work
        while unanswered(self._stack.workspace, queue) and settle.wait(0.1):
            pass

    def _ask(self, occurrence: Occurrence, state: FaultState) -> None:
        fault = occurrence.fault
        if fault.group == "queue":
            return  # it submits its own requests
        if state == "injected" or (state == "effect_proven" and not fault.group.startswith("llm_")):
            self._submitter.probe(f"{occurrence.fault_id} {state}")
        elif state == "armed" and fault.name in STRIKES_WORK:
            for count in range(_WORK):  # one alone may be finished too early
                self._submitter.probe(f"{occurrence.fault_id} {state} {count}")


def _states(run: RunDir, fault_id: str) -> dict[str, dict[str, Any]]:
    records = (record for _, record in read_history(run.history))
    return {
        record.state: record.evidence
        for record in records
        if isinstance(record, FaultRecord) and record.fault_id == fault_id
    }


def main(argv: list[str]) -> int:
    if argv[:1] == ["--inside"]:
        return _inside(RunDir(Path(argv[1])))
    try:
        outcomes = run_faults(argv)
    except (RuntimeError, ChaosError) as error:
        print(error, file=sys.stderr)
        return 1
    for one in outcomes:
        verdict = "; ".join(one.problems) or (
            f"unavailable: {one.unavailable}" if one.unavailable else "ok"
        )
        print(f"{one.fault}: {verdict}")
        for title, states in (("fault", one.states), ("twin", one.twin)):
            for state, evidence in states.items():
                print(f"    {title:<6}{state:<18}{json.dumps(evidence)[:400]}")
    return 1 if any(one.problems for one in outcomes) else 0


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code) if "--inside" in sys.argv else sys.exit(code)
