"""How a benchmark tells its figures: a table for people, one JSON line with `--json`."""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One measured value; `limit` is what it is meant to stay under, if anything."""

    name: str
    value: float
    unit: str
    limit: float | None = None


def parser(about: str | None) -> argparse.ArgumentParser:
    """A command line with `--json`; `about` is the module's docstring."""
    made = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--json", action="store_true", help="one JSON line for machines")
    return made


def show(benchmark: str, figures: Sequence[Figure], *, as_json: bool, notes: str = "") -> None:
    """Print the figures. Never fails: a busy machine is no defect."""
    if as_json:
        rows = {figure.name: round(figure.value, 4) for figure in figures}
        limits = {figure.name: figure.limit for figure in figures if figure.limit is not None}
        print(json.dumps({"benchmark": benchmark, "figures": rows, "limits": limits}))
        return
    print(f"{benchmark}{': ' + notes if notes else ''}")
    width = max(len(figure.name) for figure in figures)
    for figure in figures:
        aim = ""
        if figure.limit is not None:
            met = "met" if figure.value <= figure.limit else "NOT met"
            aim = f"   aim: at most {figure.limit:g} {figure.unit}, {met}"
        print(f"  {figure.name:<{width}}  {figure.value:10.3f} {figure.unit}{aim}")


def percentile(values: Sequence[float], percent: int) -> float:
    """The percentile of `values` by the nearest higher rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, -(-len(ordered) * percent // 100) - 1)]


def median(values: Sequence[float]) -> float:
    """The median of `values`."""
    return statistics.median(values)
