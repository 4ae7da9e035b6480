"""Parameters witnessed: what a request and the LLM's answer ask for arrives in the work.

The child process that names the request on its command line must carry the request's value, under
the option that the target names (`child_arguments`); the steps of a dispatch must be those that the
target names, in that order. The values are those that the harness submitted, else those in the
archived file unless it is that of another request; of the LLM's, what came over the wire last
before the child began, in a decision that is the LLM's. A daemon none of whose children has the
option tells them in another way, and is not judged.
"""

import hashlib
from collections.abc import Iterator
from typing import Any

import msgspec

from chaos.base.foreign import written_out
from chaos.checks.base import Check, Params, depends_on
from chaos.checks.finding import Evidence, Finding, plural
from chaos.checks.queue_replay import Child, children_by_request, replayed
from chaos.checks.witnessed import ATTEMPTS, SLACK_S, finding_of, not_witnessed
from chaos.record.open_run import OpenRun

_TYPES = "select name, any_value(type) from request_types group by name"
_ARCHIVED = "select name, path from files where place = 'archived'"
_COMPLETED = "select distinct request from decisions where completed and dispatch is not null"
# What the LLM answered for each child: not for one of an earlier life of the daemon.
_ANSWERED = f"""
with {ATTEMPTS}
select d.request, a.end_s, a.text, d.start_s from decisions d join attempts a
    on a.answered and a.t_s >= d.start_s - {SLACK_S} and a.end_s <= d.end_s + {SLACK_S}
where d.completed and not coalesce(d.fallback, false) order by a.end_s
"""
_UNREADABLE = (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
Wrong = tuple[int, str]


class _Judged:
    def __init__(self, run: OpenRun) -> None:
        self.told = run.target.child_arguments
        self.children = children_by_request(run)
        self.types: dict[str, str] = dict(run.sql(_TYPES))
        self.completed = {name for (name,) in run.sql(_COMPLETED)}
        self.bodies = _bodies(run, set(self.children))
        self.answers = _answers(run) if self.told.answers else {}
        self.used = {  # (type, option) that some child has
            (self.types.get(name), word)
            for name, found in self.children.items()
            for child in found
            for word in child.words
            if word.startswith("-")
        }
        self.compared = 0

    def wrong(self) -> Iterator[Wrong]:
        for name, children in self.children.items():
            for field, option in self.told.parameters.items():
                value = _at(self.bodies.get(name), field)
                if value is not None and (self.types.get(name), option) in self.used:
                    self.compared += 1
                    yield from _unlike(name, children, field, option, value)
            order = dict(self.told.order).get(self.types.get(name))  # type: ignore[call-overload]
            option = self.told.steps
            if (
                order
                and name in self.completed & self.bodies.keys()
                and (self.types.get(name), option) in self.used
            ):
                self.compared += 1
                yield from _out_of_order(name, children, option, order)
            yield from self._unlike_answer(name, children)

    def _unlike_answer(self, name: str, children: list[Child]) -> Iterator[Wrong]:
        for field, option in self.told.answers.items():
            for child in children:
                came = [
                    value
                    for end_s, content, from_s in self.answers.get(name, [])
                    if from_s <= end_s <= child.start_s
                    and (value := _at(content, field)) is not None
                ]
                if came and option in child.words:
                    self.compared += 1
                    given = _after(child, option)
                    if given != str(came[-1]):
                        text = (
                            f"the LLM answered {field} {came[-1]}, and its child was told {given}"
                        )
                        yield child.line, f"{name}: {text}"


def _unlike(
    name: str, children: list[Child], field: str, option: str, value: Any
) -> Iterator[Wrong]:
    key = field.rpartition(".")[2]
    having = [child for child in children if option in child.words]
    if isinstance(value, bool):
        if value != bool(having):
            said = "has" if having else "does not have"
            yield children[0].line, f"{name}: {key} is {value}, and its child {said} {option}"
        return
    if not having:
        yield (
            children[0].line,
            f"{name}: {key} {value} is on the command line of none of its children",
        )
    for child in having:
        given = _after(child, option)
        if given != str(value):
            yield child.line, f"{name}: {key} is {value}, and its child was told {given}"


def _out_of_order(
    name: str, children: list[Child], option: str, order: list[str]
) -> Iterator[Wrong]:
    """A step that is repeated, as after a crash, counts where it came first."""
    having = [child for child in children if option in child.words]
    steps = [step for child in having for step in _after(child, option).split(",") if step]
    if list(dict.fromkeys(steps)) != order:
        wanted, seen = ", ".join(order), ", ".join(steps) or "none"
        yield children[0].line, f"{name}: its steps were {seen}; they should be {wanted}"


def _after(child: Child, option: str) -> str:
    """The word after the option; the last one counts, as in most parsers."""
    places = [place for place, word in enumerate(child.words) if word == option]
    rest = child.words[places[-1] + 1 : places[-1] + 2]
    return rest[0] if rest else ""


def _bodies(run: OpenRun, names: set[str]) -> dict[str, Any]:
    """Name of a request -> its content, as the harness submitted it or as it is archived."""
    bodies: dict[str, Any] = {}
    owners = replayed(run).owners()
    for name, path in run.sql(_ARCHIVED):
        if name not in names:
            continue
        try:
            content = (run.files / path).read_bytes()
            if owners.get(hashlib.sha256(content).hexdigest(), name) == name:  # else exchanged
                bodies[name] = msgspec.json.decode(content)
        except _UNREADABLE:
            continue
    submitted = {written_out(op.id): op.detail.get("body") for _, op in run.ops}
    return bodies | {name: body for name, body in submitted.items() if body}


def _answers(run: OpenRun) -> dict[str, list[tuple[float, Any, float]]]:
    """Name of a request -> (when it came, what, begin of the decision) of the LLM's answers."""
    answers: dict[str, list[tuple[float, Any, float]]] = {}
    if not_witnessed(run, "wire") is None:
        for name, end_s, text, from_s in run.sql(_ANSWERED):
            try:
                content = msgspec.json.decode(text or "")
            except _UNREADABLE:
                continue
            answers.setdefault(name, []).append((end_s, content, from_s - SLACK_S))
    return answers


def _at(content: Any, dotted: str) -> Any:
    for key in dotted.split("."):
        content = content.get(key) if isinstance(content, dict) else None
    return content if isinstance(content, int | float | str) else None


def judge(run: OpenRun, params: Params) -> list[Finding]:
    """None where the target does not say what children are told, or no child is told it."""
    absent = not_witnessed(run)
    if absent is not None:
        return absent
    judged = _Judged(run)
    wrong = sorted(judged.wrong())
    if not judged.compared:
        return []
    compared = plural(judged.compared, "value")
    return finding_of(
        [Evidence(f"witness.jsonl:{line}", text) for line, text in wrong],
        passed=f"{compared} of requests and answers arrived on the command lines of children",
        failed=f"{{wrong}} of {compared} of requests and answers did not arrive in the work",
    )


CHECK = Check(
    name="parameters_witnessed",
    says=("child_arguments",),
    title="Parameters witnessed",
    judge=judge,
    depends=depends_on("files", "stack"),
    always=True,
)
