"""A triage for people: plain lines for a terminal, a section for the Markdown report."""

import textwrap

from chaos.base.foreign import written_out
from chaos.base.markup import block, code, inline
from chaos.base.printable import printable
from chaos.triage.result import TITLES, Cause, Triage

_WIDTH = 96


def plain(triage: Triage) -> str:
    """The whole triage as text. Each command is on a line of its own, ready to be pasted."""
    blocks = [_wrapped("", triage.sentence[:1].upper() + triage.sentence[1:])]
    blocks += [_cause(cause) for cause in triage.causes]
    if triage.ruled_out:
        lines = [_wrapped(f"  {TITLES[ruling.name]}: ", ruling.why) for ruling in triage.ruled_out]
        blocks.append("\n".join(["ruled out", *lines]))
    if triage.undecided:
        lines = []
        for ruling in triage.undecided:
            text = f"{ruling.why}; would decide: {ruling.would_decide}"
            lines.append(_wrapped(f"  {TITLES[ruling.name]}: ", text))
            lines += [f"    $ {step.command}" for step in ruling.steps[:1]]
        blocks.append("\n".join(["open", *lines]))
    if triage.paths:
        lines = [
            _wrapped(f"  {'taken' if p.taken else 'NOT taken'}: ", f"{p.evidence.text}")
            + f"\n      {p.evidence.ref}"
            for p in triage.paths
        ]
        blocks.append("\n".join(["paths of the faults", *lines]))
    if triage.seen:
        blocks.append("\n".join(["seen", *(f"  {line}" for line in triage.seen)]))
    blocks += [_wrapped("note: ", note) for note in triage.notes]
    return written_out("\n\n".join(blocks))


def _cause(cause: Cause) -> str:
    lines = [_wrapped(f"{TITLES[cause.name].upper()} ({cause.owner}): ", cause.summary)]
    if cause.explains:
        lines.append(_wrapped("  explains: ", ", ".join(cause.explains)))
    if cause.evidence:
        lines.append("  decided by")
        lines += [_wrapped(f"    {item.ref}: ", item.text) for item in cause.evidence]
    if cause.steps:
        lines.append("  next")
        for step in cause.steps:
            lines += [_wrapped("    # ", step.text, "    # "), f"    {step.command}"]
    return "\n".join(lines)


def _wrapped(head: str, text: str, indent: str | None = None) -> str:
    within = " " * (len(head) - len(head.lstrip()) + 2) if indent is None else indent
    return textwrap.fill(
        " ".join(text.split()),
        _WIDTH,
        initial_indent=head,
        subsequent_indent=within if head else "",
        break_long_words=False,
        break_on_hyphens=False,
    )


def markdown(triage: Triage) -> str:
    """The section of the Markdown report, with its heading, without a newline at the end."""
    parts = ["## Triage", "", inline(triage.sentence[:1].upper() + triage.sentence[1:])]
    for cause in triage.causes:
        parts += ["", f"### {TITLES[cause.name]} (owner: {cause.owner})", ""]
        parts.append(inline(cause.summary))
        if cause.explains:
            parts += ["", f"Explains: {', '.join(cause.explains)}. Decided by:", ""]
        elif cause.evidence:
            parts += ["", "Decided by:", ""]
        parts += [f"- {code(item.ref)} {inline(item.text)}" for item in cause.evidence]
        if cause.steps:
            pairs = [(f"# {' '.join(step.text.split())}", step.command) for step in cause.steps]
            lines = [printable(line) for pair in pairs for line in pair]
            parts += ["", "Next:", "", block(lines, "sh")]
    if triage.causes and triage.ruled_out:
        parts += ["", "Ruled out:", ""]
        parts += [f"- {TITLES[ruling.name]}: {inline(ruling.why)}" for ruling in triage.ruled_out]
    if triage.causes and triage.undecided:
        parts += ["", "Open:", ""]
        parts += [
            f"- {TITLES[ruling.name]}: {inline(ruling.why)}; would decide: "
            f"{inline(ruling.would_decide)}"
            for ruling in triage.undecided
        ]
    if triage.paths:
        parts += ["", "Paths that the faults exist to exercise:", ""]
        parts += ["| fault | path | taken | shown by |", "|---|---|---|---|"]
        parts += [
            f"| {inline(f'{p.fault_id} {p.fault}')} | {p.role}: {inline(p.path)} "
            f"| {'yes' if p.taken else 'NO'} "
            f"| {code(p.evidence.ref, cell=True)} {inline(p.evidence.text)} |"
            for p in triage.paths
        ]
    if triage.causes and triage.seen:
        shown = block([printable(line) for line in triage.seen])
        parts += ["", "Seen while the stack was up:", "", shown]
    return "\n".join(parts)
