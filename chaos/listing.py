"""What there is to choose from: faults with their parameters, soaks, targets. Text and JSON."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from chaos.faults.base import Fault, Param
from chaos.resolve import read_soak, read_target, soak_names, target_names
from chaos.units import duration_text


def _default(param: Param) -> str:
    if param.default is None:
        return "-"
    return duration_text(float(param.default)) if param.kind == "duration" else str(param.default)


def _param_text(param: Param) -> str:
    head = f"    {param.name:<9}{param.kind:<10}{_default(param):<8}"
    choices = f" ({', '.join(param.choices)})" if param.choices else ""
    return textwrap.fill(
        param.help + choices, 80, initial_indent=head, subsequent_indent=" " * len(head)
    )


def faults_text(kinds: Mapping[str, type[Fault]]) -> str:
    """One block for each kind; every line fits 80 columns."""
    blocks = []
    for name, kind in sorted(kinds.items()):
        lines = [name, f"  {kind.summary}", f"  triage path: {kind.triage_path}"]
        lines.append(f"  reconnection path: {kind.reconnection_path}")
        lines += [_param_text(param) for param in kind.params]
        blocks.append("\n".join(lines))
    blocks.append("none\n  the control: the run that must pass without any fault")
    blocks.append("use: chaos run SOAK --fault NAME:KEY=VALUE,KEY=VALUE")
    return "\n\n".join(blocks)


def faults_json(kinds: Mapping[str, type[Fault]]) -> list[dict[str, Any]]:
    """The same for machines; durations in seconds."""
    return [
        {
            "name": name,
            "summary": kind.summary,
            "triage_path": kind.triage_path,
            "reconnection_path": kind.reconnection_path,
            "params": [
                {
                    "name": param.name,
                    "kind": param.kind,
                    "default": param.default,
                    "min": param.min,
                    "max": param.max,
                    "choices": list(param.choices),
                    "help": param.help,
                }
                for param in kind.params
            ],
        }
        for name, kind in sorted(kinds.items())
    ]


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
    """The same for people."""
    content = soaks_json()
    lines = []
    for soak in content["soaks"]:
        lines.append(f"{soak['soak']:<12}{soak['title']}")
        for name, phases in soak["profiles"].items():
            default = "  (default)" if name == soak["default_profile"] else ""
            lines.append(f"    {name:<8}{duration_text(sum(phases.values()))}{default}")
    lines += ["", "targets:"]
    lines += [f"    {item['target']:<12}{item['title']}" for item in content["targets"]]
    return "\n".join(lines)
