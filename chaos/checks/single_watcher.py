"""Single Watcher: a second one in the same workspace refuses, and the first goes on.

Two Watchers on one queue do work twice, lose requests to each other and stop each other's LLM
server. Whether that happens to show in a run is chance; that nothing keeps a second one out is not.
"""

from chaos.checks.base import Check, Params
from chaos.checks.finding import Evidence, Finding, plural
from chaos.record.fault_window import FaultWindow
from chaos.record.open_run import OpenRun

_SHOWN_CHARS = 160


def judge(run: OpenRun, params: Params) -> list[Finding]:
    """One finding for all second Watchers that were started; none in a run without any."""
    tried = [w for w in run.faults if "first_lives" in w.evidence("effect_proven")]
    if not tried:
        return []
    wrong = [found for window in tried if (found := _wrong(window)) is not None]
    good = [_refusal(window) for window in tried]
    return [
        Finding(
            outcome="fail" if wrong else "pass",
            summary=f"{plural(len(tried), 'second Watcher')} started beside the first, "
            f"{len(tried) - len(wrong)} refused and left it unharmed",
            measured=len(wrong),
            limit=0,
            evidence=wrong or good,
        )
    ]


def _wrong(window: FaultWindow) -> Evidence | None:
    seen = window.evidence("effect_proven")
    after = window.evidence("recovered") or window.evidence("recovery_unproven")
    problems = []
    if not seen.get("refused"):
        code = seen.get("exit_code")
        ended = "it worked beside the first" if code is None else f"it ended with exit code {code}"
        problems.append(f"the second one did not refuse: {ended}{_said(window)}")
    if not seen.get("first_lives", True) or not after.get("same", True):
        problems.append("the first one ended")
    before, now = window.undo.get("owner"), seen.get("owner")
    if before is not None and now != before:
        problems.append(f"the workspace names {now} as its Watcher, not {before}")
    if not problems:
        return None
    text = f"{window.fault_id} {window.name}: {'; '.join(problems)}"
    return Evidence(window.ref("effect_proven"), text)


def _refusal(window: FaultWindow) -> Evidence:
    code = window.evidence("effect_proven").get("exit_code")
    text = f"{window.fault_id}: refused with exit code {code}{_said(window)}"
    return Evidence(window.ref("effect_proven"), text)


def _said(window: FaultWindow) -> str:
    message = str(window.evidence("effect_proven").get("message") or "")
    return f" ({message[:_SHOWN_CHARS]})" if message else " (it said nothing)"


CHECK = Check(
    says=("instance",), name="single_watcher", title="Single Watcher", judge=judge, always=True
)
