"""The plugin for pytest: runs as tests.

::

    import pytest

    @pytest.mark.chaos(soak="soak_b", faults=["llm_timeout"], target="target.yaml", seed=7)
    def test_survives_a_silent_llm(chaos_run):
        assert chaos_run.sql("select count(*) from faults where recovered_s is not null") == [(1,)]

The marker makes one run for the test, as `chaos.run` does; its arguments are those of `chaos.run`.
A test whose run fails, fails with the findings before its own code runs; so does one whose run
proves too little (inconclusive, unverified), with another headline. A run that says nothing about
the daemon (invalid, wrong options) is an error of the test, and no failure. `judged=False` leaves
the verdict to the test. The fixture `chaos_run` is the opened run: `verdict`, `findings`, `sql`.

Runs are stored in the test's `tmp_path`, or below `--chaos-runs DIR`. Only pytest and the standard
library are imported with this module: every pytest session of an environment loads it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from chaos.checks.finding import Finding
    from chaos.runner.api import Run

_FIXTURE = "chaos_run"
_EVIDENCE_CHARACTERS = 300
_run = pytest.StashKey["Run"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare `--chaos-runs`."""
    group = parser.getgroup("chaos", "resilience runs (chaos-gate)")
    group.addoption(
        "--chaos-runs",
        metavar="DIR",
        help="store the runs of tests there (default: the tmp_path of each test)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line(
        "markers",
        "chaos(soak, *, faults=(), profile=None, target=None, seed=None, judged=True, ...): "
        "make this run for the test; its verdict decides (fixture chaos_run)",
    )


def pytest_itemcollected(item: pytest.Item) -> None:
    """A marked test needs not name the fixture."""
    names = getattr(item, "fixturenames", None)
    if names is not None and _FIXTURE not in names and item.get_closest_marker("chaos"):
        names.append(_FIXTURE)


@pytest.fixture(name=_FIXTURE)
def chaos_run(request: pytest.FixtureRequest) -> Iterator[Run]:
    """The run of the test's marker `chaos`, opened."""
    marker = request.node.get_closest_marker("chaos")
    if marker is None:
        pytest.fail(
            'the fixture chaos_run needs @pytest.mark.chaos(soak="soak_b", ...)', pytrace=False
        )
    options = dict(marker.kwargs)
    judged = options.pop("judged", True)
    with _executed(request, *marker.args, **options) as run:
        request.node.user_properties.append(("chaos_run", str(run.path)))
        if run.verdict.stopped == "interrupt":
            raise KeyboardInterrupt
        if judged:
            if run.verdict.exit_code and _headline(run) is None:
                pytest.fail(_text(run, "THE RUN SAYS NOTHING"), pytrace=False)
            request.node.stash[_run] = run
        yield run


def _executed(request: pytest.FixtureRequest, *soak: str, **options: Any) -> Run:
    import chaos
    from chaos.base.errors import ChaosError

    runs = request.config.getoption("--chaos-runs") or request.getfixturevalue("tmp_path") / "runs"
    try:
        return chaos.run(*soak, runs=runs, **options)
    except (ChaosError, TypeError) as error:  # TypeError: an argument that `chaos.run` lacks
        pytest.fail(f"chaos: {error}", pytrace=False)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Let the verdict decide before the test's own code runs."""
    run = item.stash.get(_run, None)
    if run is not None and (headline := _headline(run)) is not None:
        pytest.fail(_text(run, headline), pytrace=False)


def _headline(run: Run) -> str | None:
    """Why the test fails; None where the verdict accuses nobody."""
    verdict = run.verdict.verdict
    if verdict == "fail":
        return "THE WATCHER DID NOT WITHSTAND THIS"
    if verdict in ("inconclusive", "unverified") and run.verdict.exit_code == 3:
        return "NOT PROVEN"
    return None


def _text(run: Run, headline: str) -> str:
    """Verdict, findings, and where to look."""
    from chaos.base.printable import printable

    verdict = run.verdict
    lines = [f"{headline}: {verdict.reason} ({verdict.verdict}, exit code {verdict.exit_code})"]
    for finding in verdict.findings:
        if finding.outcome not in ("pass", "skipped"):
            lines += _finding_lines(finding)
    page = run.path / "report.html"
    lines += ["", f"report:    {page if page.is_file() else run.path}"]
    if verdict.reproduce:
        lines.append(f"reproduce: {verdict.reproduce}")
    return printable("\n".join(lines))


def _finding_lines(finding: Finding) -> list[str]:
    from chaos.base.printable import bounded

    lines = ["", f"{finding.outcome}: {finding.title or finding.check}", f"  {finding.summary}"]
    if finding.evidence:
        first = finding.evidence[0]
        lines.append(f"  {first.ref}: {bounded(first.text, _EVIDENCE_CHARACTERS)}")
        if finding.evidence_count > 1:
            lines.append(f"  and {finding.evidence_count - 1} more")
    return lines
