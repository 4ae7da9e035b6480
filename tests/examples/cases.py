"""What is run of each example: the sound program in every soak, and its defective relatives.

A defective program lies in `examples/NAME/defects/` and wraps the sound one. Its target is the
sound one's, with another program in front.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PROGRAMS = {
    "minimal": "worker.py",
    "node": "worker.js",
    "plan-grown": "watcher.py",
    "agent": "agent.py",
}


@dataclass(frozen=True)
class Case:
    """One run. `found_by`: the check that must fail; "" for a sound program, which must pass."""

    example: str
    soak: str
    fault: str
    defect: str = ""
    found_by: str = ""
    brief: bool = False  # a shorter soak shows the defect

    @property
    def name(self) -> str:
        """For people and for the ids of tests."""
        fault = self.fault.partition(":")[0]
        return "-".join(filter(None, (self.example, self.defect, self.soak, fault)))

    def target(self, folder: Path) -> Path:
        """The target's file: the example's own, or one for the defective program in `folder`."""
        own = EXAMPLES / self.example
        if not self.defect:
            return own / "target.yaml"
        target = yaml.safe_load((own / "target.yaml").read_text(encoding="utf-8"))
        program = PROGRAMS[self.example]
        defective = f"{self.defect}{Path(program).suffix}"
        target["target"] = self.defect
        start, install = target["watcher"]["start"], target["workspace"]["install"]
        start[start.index(program)] = defective
        install.append({"source": f"defects/{defective}", "to": defective})
        for item in install:
            item["source"] = str(own / item["source"])
        written = folder / f"{self.defect}.yaml"
        written.write_text(yaml.safe_dump(target), encoding="utf-8")
        return written


SOUND = tuple(
    Case(example, soak, fault)
    for example in PROGRAMS
    for soak in ("soak_b", "soak_a", "soak_c")
    for fault in ("none", "llm_timeout")
)
STALL = "llm_stall:after_tokens=3,hold=20s"  # longer than a patient client may wait
MID_EVENT = "llm_truncated:after_tokens=3,mid_event=yes"
DEFECTIVE = (
    Case("minimal", "soak_b", "llm_timeout", "deletes_unanswered", "request_queue"),
    Case("minimal", "soak_b", "llm_stall:count=1,hold=20s", "waits_for_ever", "call_time_limit"),
    Case("minimal", "soak_a", "none", "keeps_everything", "memory_growth", brief=True),
    Case("node", "soak_b", "llm_timeout", "invents_answers", "answers_witnessed"),
    Case("node", "soak_a", "none", "leaves_descriptors", "file_descriptors", brief=True),
    Case("node", "soak_c", "none", "answers_twice", "exactly_once", brief=True),
    Case("plan-grown", "soak_b", "llm_timeout", "loses_postponed", "request_queue"),
    Case("plan-grown", "soak_b", "none", "halts_itself", "stall"),
    Case("plan-grown", "soak_a", "llm_timeout", "leaks_descriptors", "growth_per_fault"),
    Case("agent", "soak_a", "watcher_killed", "accepts_in_memory", "request_queue", brief=True),
    Case("agent", "soak_b", STALL, "waits_for_tokens", "call_time_limit"),
    Case("agent", "soak_b", MID_EVENT, "takes_half_streams", "answers_witnessed"),
)
