"""Keys of evidence: what the kinds measure and what judges ask for is declared, and used."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from chaos.record.evidence_keys import EVIDENCE, check_evidence
from chaos.record.names import UndeclaredName

JUDGES = ("checks", "record", "triage", "report", "runner")
SQL = re.compile(r"\b(?:effect|recovery) ->> '\$\.(\w+)'")
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def modules(folders: Iterable[Path]) -> list[ast.Module]:
    files = [path for folder in folders for path in sorted(folder.rglob("*.py"))]
    return [ast.parse(path.read_text("utf-8")) for path in files]


def name_of(node: ast.expr) -> str:
    """`f` of `f(...)`, `x.f(...)`, `x.f` and `f`."""
    if isinstance(node, ast.Call):
        return name_of(node.func)
    return getattr(node, "attr", getattr(node, "id", ""))


def text(node: ast.expr | None) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value


# -- the kinds ------------------------------------------------------------------------------------


def keys_of(node: ast.expr | None, functions: dict[str, list[ast.AST]]) -> Iterator[str]:
    """The keys of a dictionary as it is written, with those of the functions that it is made of."""
    if isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            yield from text(key) if key is not None else keys_of(value, functions)
    elif isinstance(node, ast.BinOp):
        yield from keys_of(node.left, functions)
        yield from keys_of(node.right, functions)
    elif isinstance(node, ast.Call):
        for function in functions.get(name_of(node), []):
            for inner in ast.walk(function):
                if isinstance(inner, ast.Return):
                    yield from keys_of(inner.value, {})


def measured_keys(modules: list[ast.Module]) -> set[str]:
    """What is put into a dictionary called `measured`, an `Evidence` or a copy of one."""
    nodes = [node for module in modules for node in _outside_measured(module)]
    functions: dict[str, list[ast.AST]] = {}
    for node in nodes:
        if isinstance(node, FUNCTIONS):
            functions.setdefault(node.name, []).append(node)
    return {key for node in nodes for key in _put(node, functions)}


def _outside_measured(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but functions called `measured`: most of them make what stands below a key."""
    if isinstance(node, FUNCTIONS) and node.name == "measured":
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _outside_measured(child)


def _put(node: ast.AST, functions: dict[str, list[ast.AST]]) -> Iterator[str]:
    if isinstance(node, ast.Subscript) and name_of(node.value) == "measured":
        yield from text(node.slice)
    elif isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if any(name_of(target) == "measured" for target in targets):
            yield from keys_of(node.value, functions)
    elif isinstance(node, ast.Call) and name_of(node) == "plus":
        yield from (keyword.arg for keyword in node.keywords if keyword.arg)
    elif isinstance(node, ast.Call) and name_of(node) in ("Evidence", "probe", "probe_watcher"):
        for argument in node.args:
            yield from keys_of(argument if isinstance(argument, ast.Dict) else None, functions)


def test_every_key_that_a_kind_measures_is_declared(repo: Path) -> None:
    used = measured_keys(modules([repo / "chaos" / "faults"]))
    assert len(used) > 100, "the kinds measure more than that: the search has missed most of it"
    assert sorted(used - set(EVIDENCE)) == []


def test_every_declared_key_is_used(repo: Path) -> None:
    folders = [repo / "chaos" / name for name in ("faults", "checks")]
    written = {
        part
        for module in modules(folders)
        for node in ast.walk(module)
        for part in (
            [node.arg] if isinstance(node, ast.keyword) else text(node)  # type: ignore[arg-type]
        )
    }
    # chaos/faults/gpu/look.py makes these of the name of a library.
    made = {f"{library}_error" for library in ("nvml", "cuda", "probe")}
    assert sorted(set(EVIDENCE) - written - made) == []


# -- the judges -----------------------------------------------------------------------------------


def asked_keys(function: ast.AST) -> Iterator[str]:
    """The keys that a function asks `window.evidence(state)` for."""
    holders = {
        name_of(target)
        for node in ast.walk(function)
        if isinstance(node, ast.Assign) and _is_evidence(node.value)
        for target in node.targets
    }
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and name_of(node) == "get":
            receiver = node.func.value if isinstance(node.func, ast.Attribute) else node.func
            if _is_evidence(receiver) or name_of(receiver) in holders:
                yield from text(node.args[0])
        elif isinstance(node, ast.Compare) and _is_evidence(node.comparators[0]):
            yield from text(node.left)


def _is_evidence(node: ast.expr) -> bool:
    """`window.evidence(state)` or `record.evidence`; also the first of two by `or`."""
    if isinstance(node, ast.BoolOp):
        return any(map(_is_evidence, node.values))
    if isinstance(node, ast.Call):
        return name_of(node) == "evidence" and len(node.args) == 1
    return isinstance(node, ast.Attribute) and node.attr == "evidence"


def test_every_key_that_a_judge_asks_for_is_declared(repo: Path) -> None:
    parsed = modules([repo / "chaos" / name for name in JUDGES])
    nodes = [node for module in parsed for node in ast.walk(module)]
    asked = {key for node in nodes if isinstance(node, FUNCTIONS) for key in asked_keys(node)}
    assert {"stop", "first_lives", "took_ms", "undo"} <= asked, "the search has missed some"
    in_sql = {
        key
        for node in nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for key in SQL.findall(node.value)
    }
    assert "killed_pid" in in_sql, "the search has missed some"
    assert sorted((asked | in_sql) - set(EVIDENCE)) == []


# -- the check ------------------------------------------------------------------------------------


def test_undeclared_key_raises_unless_the_kind_declares_it() -> None:
    check_evidence("mine", ["attempts", "own"], {"own": "a key of a third party's kind"})
    with pytest.raises(UndeclaredName, match="fault 'mine': undeclared evidence own; declare it"):
        check_evidence("mine", ["attempts", "own"], {})
