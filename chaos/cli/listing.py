"""Lists of faults with their parameters, of soaks and of targets, as text and JSON."""

import textwrap
from collections.abc import Mapping
from typing import Any

from chaos.base.shipped import EXPERIMENTS
from chaos.base.units import duration_text
from chaos.checks.registry import CHECKS
from chaos.faults.base import GROUPS, Fault
from chaos.faults.params import Param, declared
from chaos.runner.resolve import read_soak, read_target, soak_names, target_names

GROUP_TITLES: dict[str, str] = {
    "llm_tcp": "LLM, TCP: the link, by the proxy",
    "llm_wire": "LLM, on the wire: what the server answers",
    "llm_process": "LLM, process: the server itself",
    "disk": "Disk: the volume of the workspace",
    "queue": "Queue: files that no careful producer writes",
    "process": "Process: Watcher and injector",
    "syscall": "System calls: what the kernel does with single calls of the Watcher",
    "machine": "Machine: the limits that the Watcher lives in",
    "gpu": "GPU",
    "other": "Others (registered by other packages)",
}


def _default(param: Param) -> str:
    if param.default is None:
        return "-"
    return duration_text(float(param.default)) if param.kind == "duration" else str(param.default)


def _param_text(param: Param, width: int) -> str:
    head = f"    {param.name:<{width}} {param.kind:<8} {_default(param):<8} "
    choices = f" ({', '.join(param.choices)})" if param.choices else ""
    return _folded(head, param.help + choices)


def by_group(kinds: Mapping[str, type[Fault]]) -> dict[str, list[type[Fault]]]:
    """Kinds by group, in the order of the groups, sorted by name in each."""
    members: dict[str, list[type[Fault]]] = {group: [] for group in GROUPS}
    for _, kind in sorted(kinds.items()):
        members[kind.group].append(kind)
    return {group: kinds_of for group, kinds_of in members.items() if kinds_of}


def faults_text(kinds: Mapping[str, type[Fault]]) -> str:
    """A line per kind, by group, with the reason if it is unavailable here. 80 columns wide."""
    width = max((len(name) for name in kinds), default=0) + 2
    blocks = []
    for group, members in by_group(kinds).items():
        lines = [GROUP_TITLES[group]]
        for kind in members:
            head = f"  {kind.name:<{width}}"
            lines.append(_folded(head, kind.summary))
            reason = kind.available_here()
            if reason is not None:
                lines.append(_folded(" " * len(head), f"unavailable here: {reason}"))
        blocks.append("\n".join(lines))
    blocks.append("none: the control, the run that must pass without any fault")
    blocks.append(
        "parameters: chaos faults NAME\n"
        "use:        chaos run SOAK --fault NAME:KEY=VALUE,KEY=VALUE\n"
        "            chaos run SOAK --faults GROUP,GROUP   (or all, or names)\n"
        + _folded("groups:     ", ", ".join(by_group(kinds)))
    )
    return "\n\n".join(blocks)


def _folded(head: str, text: str) -> str:
    return textwrap.fill(text, 80, initial_indent=head, subsequent_indent=" " * len(head))


def fault_text(kind: type[Fault]) -> str:
    """All details of one kind. 80 columns wide."""
    reason = kind.available_here()
    lines = [
        kind.name,
        f"  {kind.summary}",
        f"  group: {kind.group}",
        f"  triage path: {kind.triage_path}",
        f"  reconnection path: {kind.reconnection_path}",
        _folded("  ", f"here: {'available' if reason is None else f'unavailable, {reason}'}"),
    ]
    together = ", ".join(sorted(kind.compatible_groups))
    lines.append(f"  may be in force together with: {together or 'no other'}")
    params = declared(kind.Params)
    width = max(len(param.name) for param in params)
    lines += [_param_text(param, width) for param in params]
    return "\n".join(lines)


def faults_markdown(kinds: Mapping[str, type[Fault]]) -> str:
    """The catalogue as a document: docs/faults.md is its output for the shipped kinds."""
    lines = [
        "# Faults",
        "",
        "Written by `chaos faults --markdown`. Each fault proves its effect and its recovery by "
        "measurement; `chaos faults NAME` tells its parameters, `chaos faults` what cannot be had "
        "on a machine and why.",
    ]
    for group, members in by_group(kinds).items():
        lines += ["", f"## {GROUP_TITLES[group]}", ""]
        lines += [
            "| fault | what breaks | triage path | reconnection path | together with |",
            "|---|---|---|---|---|",
        ]
        lines += [
            f"| `{kind.name}` | {kind.summary} | {kind.triage_path} | {kind.reconnection_path} "
            f"| {', '.join(sorted(kind.compatible_groups)) or '-'} |"
            for kind in members
        ]
    return "\n".join(lines) + "\n"


def faults_json(kinds: Mapping[str, type[Fault]]) -> list[dict[str, Any]]:
    """The faults as JSON; durations in seconds. `unavailable`: the reason, or null."""
    return [
        {
            "name": name,
            "summary": kind.summary,
            "group": kind.group,
            "scope": kind.scope,
            "triage_path": kind.triage_path,
            "reconnection_path": kind.reconnection_path,
            "compatible_groups": sorted(kind.compatible_groups),
            "unavailable": kind.available_here(),
            "params": [_param_json(param) for param in declared(kind.Params)],
        }
        for name, kind in sorted(kinds.items())
    ]


def _param_json(param: Param) -> dict[str, Any]:
    keys = ("name", "kind", "default", "min", "max", "choices", "help")
    return {key: getattr(param, key) for key in keys}


def soaks_json() -> dict[str, Any]:
    """Soaks with their profiles (phase lengths in seconds), and targets."""
    soaks = []
    for name in soak_names():
        _, experiment = read_soak(name)
        profiles = {
            key: {"baseline_s": p.baseline_s, "storm_s": p.storm_s, "quiet_s": p.quiet_s}
            for key, p in experiment.profiles.items()
        }
        soaks.append(
            {
                "soak": name,
                "title": experiment.title,
                "default_profile": experiment.default_profile,
                "profiles": profiles,
            }
        )
    targets = [{"target": n, "title": read_target(n)[1].title} for n in target_names()]
    return {"soaks": soaks, "targets": targets}


def soaks_text() -> str:
    """The soaks with their profiles, and the targets, as text for `chaos soaks`."""
    content = soaks_json()
    lines = []
    for soak in content["soaks"]:
        lines.append(f"{soak['soak']:<12}{soak['title']}")
        for name, phases in soak["profiles"].items():
            default = "  (default)" if name == soak["default_profile"] else ""
            lines.append(f"    {name:<8}{duration_text(sum(phases.values()))}{default}")
    lines += ["", "targets:"]
    lines += [f"    {item['target']:<12}{item['title']}" for item in content["targets"]]
    lines += ["", f"the files: {EXPERIMENTS}"]
    return "\n".join(lines)


def checks_markdown() -> str:
    """Which keys of a target switch on which checks: the table in docs/own-daemon.md."""
    by_keys: dict[str, list[str]] = {}
    for check in CHECKS:
        keys = ", ".join(f"`{key}`" for key in check.says) or "none: every target"
        by_keys.setdefault(keys, []).append(f"{check.title} (`{check.name}`)")
    lines = ["| keys of the target | checks |", "|---|---|"]
    rows = sorted(by_keys.items(), key=lambda row: (not row[0].startswith("none"), row[0]))
    return "\n".join([*lines, *(f"| {keys} | {', '.join(found)} |" for keys, found in rows)]) + "\n"
