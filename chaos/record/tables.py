"""The tables of an opened run, declared once: name, type, unit and meaning of every column.

`chaos.record.database` creates them from these declarations, `chaos sql --tables` and
`docs/tables.md` print them. Times are run seconds (seconds since the run began) unless the name
says otherwise. Knows neither checks nor files.
"""

from dataclasses import dataclass

from chaos.record.names import Names
from chaos.record.signals import SIGNALS


@dataclass(frozen=True)
class Column:
    """One column: its DuckDB type, its unit ("" for none), its meaning."""

    name: str
    type: str
    meaning: str
    unit: str = ""


@dataclass(frozen=True)
class Table:
    """One table: `row` says what one row is, `source` which files it is read from."""

    name: str
    row: str
    source: str
    columns: tuple[Column, ...]

    def ddl(self) -> str:
        """The statement that creates it."""
        columns = ", ".join(f'"{column.name}" {column.type}' for column in self.columns)
        return f'create table "{self.name}" ({columns})'


def _line(of: str = "history.jsonl") -> Column:
    return Column("line", "INTEGER", f"line in {of}, from 1")


def _s(name: str, meaning: str) -> Column:
    return Column(name, "DOUBLE", meaning, "s")


def _text(name: str, meaning: str) -> Column:
    return Column(name, "VARCHAR", meaning)


def _flag(name: str, meaning: str) -> Column:
    return Column(name, "BOOLEAN", meaning)


def _json(name: str, meaning: str) -> Column:
    return Column(name, "JSON", meaning)


def _count(name: str, meaning: str) -> Column:
    return Column(name, "INTEGER", meaning)


_DECISION_LINE = _line("the decision log")
_SEEN_VERSION = (
    _text("ref", "where it stands: history.jsonl:LINE of a version, or artefacts/LOG:LINE"),
    _s("t_s", "when it was seen; of a line of a log its time stamp"),
    _text("state", "read, invalid (no valid JSON) or omitted (too large to be recorded)"),
)

TABLES = Names(
    "table",
    (
        Table(
            "run",
            "the run (one row)",
            "config.json, schedule.json, history.jsonl",
            (
                _text("run_id", "soak and folder name"),
                _text("soak", "the soak"),
                _text("profile", "the profile"),
                Column("seed", "BIGINT", "the seed of the schedule"),
                Column("began_epoch_s", "DOUBLE", "wall clock at run time 0", "s (Unix)"),
                _s("end_s", "time of the last record"),
                _s("from_s", "begin of the baseline: what is measured begins here"),
                _s("to_s", "begin of the halt: what is measured ends here"),
                _text(
                    "stopped", "complete, interrupt, guardrail, usage, error; empty when cut off"
                ),
                _flag("complete", "whether the run went its whole course and is recorded whole"),
                _s("sample_period_s", "time between samples"),
                _s(
                    "drain_limit_s",
                    "time that the queue has to become empty, or to lose one request more",
                ),
                _s("poll_interval_s", "how often the daemon looks for work"),
                Column("volume_bytes", "BIGINT", "size of the workspace's volume", "bytes"),
                _count("lines", "records read from history.jsonl"),
            ),
        ),
        Table(
            "phases",
            "one phase of the run",
            "history.jsonl",
            (_line(), _text("name", "its name"), _s("begin_s", "begin"), _s("end_s", "end")),
        ),
        Table(
            "events",
            "something that the harness did or noticed",
            "history.jsonl",
            (
                _line(),
                _s("t_s", "when"),
                _text("name", "kind of event (docs/tables.md lists them)"),
                _text("severity", "info, warning or error"),
                _text("owner", "product, harness or infrastructure"),
                _json("detail", "what belongs to it"),
            ),
        ),
        Table(
            "ops",
            "one operation of the workload",
            "history.jsonl",
            (
                _line(),
                _s("t_s", "when"),
                _text("op", "kind: submit, batch"),
                _text("id", "for submit: file name of the request"),
                _text("outcome", "ok, fail or info (not known)"),
                _json("detail", "what belongs to it"),
            ),
        ),
        Table(
            "faults",
            "one scheduled occurrence of a fault",
            "schedule.json, history.jsonl",
            (
                _text("fault_id", "its id in the schedule"),
                _text("name", "its kind"),
                _text("state", "the last state it reached"),
                _line(),
                _s("armed_s", "its undo record was on disk"),
                _s("earliest_s", "the first moment at which it can have acted"),
                _s("injected_s", "the call that breaks had returned"),
                _s("proven_s", "its effect was proven"),
                _s("recovering_s", "its undo began"),
                _s("recovered_s", "its recovery was proven"),
                _s("until_s", "end of its window: recovered, or its recovery limit was over"),
                _flag("affects_llm", "a decision without the LLM is legal while it lasts"),
                _s("cut_from_s", "from here on, proven, no answer of the LLM got through"),
                _s("cut_until_s", "up to here"),
                Column("ends", "VARCHAR[]", "services that it ends by its nature"),
                _json("undo", "its undo record"),
                _json("effect", "what was measured while it held"),
                _json("recovery", "what was measured afterwards"),
            ),
        ),
        Table(
            "moments",
            "one sample: a column for each signal that was there (null: absent)",
            "history.jsonl",
            (
                _line(),
                _s("t_s", "when"),
                _flag("in_fault", "whether a fault was in force then, or being healed"),
                *(
                    Column(
                        signal.name,
                        "FLOAT" if signal.type == "number" else "VARCHAR",
                        signal.meaning,
                        signal.unit,
                    )
                    for signal in SIGNALS.values()
                ),
            ),
        ),
        Table(
            "files",
            "one file of the daemon's workspace, as collected",
            "artefacts/",
            (
                _text("path", "path in the workspace"),
                _text("place", "pending, claimed, archived, quarantined; null outside the queue"),
                _text("name", "name of the request that it belongs to, else of the file"),
                _flag("refused", "whether its name says that the request was refused"),
            ),
        ),
        Table(
            "emitted",
            "one statement that a request was emitted",
            "history.jsonl, the daemon's diagnostics",
            (
                _text("name", "file name of the request"),
                _s("t_s", "when, null where it is not known"),
                _text("source", "harness, diagnostics or fault"),
                _text("ref", "where it says so"),
                _text("text", "what it says"),
            ),
        ),
        Table(
            "planted",
            "one file that a fault put into the queue",
            "history.jsonl",
            (
                _text("fault_id", "the fault"),
                _text("name", "file name"),
                _text("must", "quarantined, archived, once or gone: what must become of it"),
                _s("armed_s", "when the fault was armed"),
                _flag("injected", "whether the fault was injected"),
            ),
        ),
        Table(
            "decisions",
            "one line of the decision log: what the daemon claims to have done",
            "the daemon's decision log",
            (
                _DECISION_LINE,
                _text("id", "id of the decision"),
                _text("request", "file name of the request"),
                _text("sequence", "sequence number"),
                _text("source", "who asked for it"),
                _text("status", "as written"),
                _flag("completed", "whether the status means done"),
                _flag("refused", "whether the status means that the request was refused"),
                _text("dispatch", "what was dispatched, null for nothing"),
                _text("kind", "selfplay or learning, null for any other dispatch"),
                _flag("fallback", "whether it says that the LLM did not decide"),
                _s("start_s", "begin"),
                _s("end_s", "when it was written"),
                _flag("in_fault", "whether a fault was in force at its end, or being healed"),
                _count("calls", "LLM calls that it lists"),
                Column("child_pid", "BIGINT", "child process that it names"),
                Column("child_exit", "BIGINT", "exit code of that child"),
            ),
        ),
        Table(
            "calls",
            "one LLM call that a decision lists",
            "the daemon's decision log",
            (
                _DECISION_LINE,
                _count("number", "place in the decision, from 1"),
                _s("start_s", "begin"),
                _s("end_s", "end"),
                _flag("ok", "whether the daemon says that the LLM answered"),
                _count("attempts", "attempts that it lists"),
                _text("answer", "what it says that the LLM answered: text, or JSON"),
            ),
        ),
        Table(
            "written",
            "one file that a decision says its child wrote",
            "the daemon's decision log",
            (
                _DECISION_LINE,
                _text("path", "path in the workspace"),
                _text("sha256", "SHA-256 that it names"),
            ),
        ),
        Table(
            "damaged",
            "one line of the decision log that is not a decision",
            "the daemon's decision log",
            (
                _DECISION_LINE,
                _text("problem", "torn: the file ends in it; else: not a JSON object"),
            ),
        ),
        Table(
            "draws",
            "one draw of the draw history",
            "the daemon's files, as the target's records say",
            (
                _count("number", "place in the history, from 0"),
                Column("position", "BIGINT", "place in the generator's sequence, from 0"),
                Column("value", "BIGINT", "the number drawn, null when it is none"),
                _flag("bootstrap", "whether it was there before the run"),
            ),
        ),
        Table(
            "telemetry",
            "one version of the model telemetry, or one line of its log",
            "the daemon's files, as the target's records say",
            (
                *_SEEN_VERSION,
                Column("model_count", "DOUBLE", "the number of models, null when it is none"),
                _s("stamp_s", "its time stamp"),
            ),
        ),
        Table(
            "predictions",
            "one prediction of one version of the prediction pool, or of one line of its log",
            "the daemon's files, as the target's records say",
            (
                *_SEEN_VERSION,
                Column("draw_index", "BIGINT", "place of the draw in the generator's sequence"),
                _flag("next", "whether it is of the draw that comes next, and so has no index"),
                _json("values", "the list of values that are predicted"),
            ),
        ),
        Table(
            "diagnostics",
            "one diagnostics file of the daemon",
            "the daemon's diagnostics",
            (
                _text("path", "path in the workspace"),
                _s("t_s", "its time stamp"),
                Column("draw", "BIGINT", "number of its draw, null where it does not say"),
            ),
        ),
        Table(
            "request_types",
            "the type of one request",
            "history.jsonl (submitted ones), else the archived request itself",
            (_text("name", "file name of the request"), _text("type", "selfplay or learning")),
        ),
        Table(
            "candidates",
            "one policy candidate file",
            "the daemon's policy candidates",
            (
                _text("path", "path in the workspace"),
                _text("id", "its own id, null when it has none or is no JSON object"),
                _text("sha256", "SHA-256 of the file, null when it could not be read"),
                _flag("before", "whether its name or its id was there before the run"),
            ),
        ),
        Table(
            "versions",
            "one version of a watched file, as seen by the harness",
            "history.jsonl",
            (
                _line(),
                _s("t_s", "when it was seen"),
                _text("path", "path in the workspace"),
                _text("sha256", "SHA-256 of its content, null when it was invalid"),
                _flag("valid", "whether it was valid JSON"),
                _flag("omitted", "whether it was too large to be recorded"),
                _json("content", "the content"),
            ),
        ),
        Table(
            "servers",
            "one event in the life of an LLM server process",
            "the supervisor's record",
            (
                _line("the supervisor's record"),
                _s("t_s", "when"),
                _text("event", "start, stop, gone or crashed"),
                Column("pid", "BIGINT", "process id"),
            ),
        ),
        Table(
            "processes",
            "one process of the daemon or the injector, as witnessed",
            "witness.jsonl",
            (
                _line("witness.jsonl"),
                Column("pid", "BIGINT", "process id"),
                Column("parent", "BIGINT", "process id of its parent when it was first seen"),
                _text("service", "watcher, injector, watcher_second or command"),
                Column("argv", "VARCHAR[]", "the command line of the last program it became"),
                _s("start_s", "start, by the kernel's clock (0.01 s)"),
                _s("end_s", "end; null while it runs"),
                Column("cpu_s", "DOUBLE", "processor time until its exit", "s"),
                Column("exit_code", "BIGINT", "null when a signal ended it"),
                Column(
                    "killed_by", "BIGINT", "process id of the last that sent it a deadly signal"
                ),
            ),
        ),
        Table(
            "connects",
            "one attempt of the daemon or the injector to connect, as witnessed",
            "witness.jsonl",
            (
                _line("witness.jsonl"),
                _s("t_s", "when"),
                Column("pid", "BIGINT", "process id"),
                _text("service", "whose process it was"),
                _text("address", "HOST:PORT, or the path of a Unix socket"),
                _flag("llm", "whether that is the address of the LLM"),
            ),
        ),
        Table(
            "wire",
            "one exchange on a link, or a connection without one, as captured",
            "wire.jsonl",
            (
                _line("wire.jsonl"),
                Column("connection", "BIGINT", "number of its connection, from 1"),
                _text("link", "llm (the daemon's way), upstream (the server), control; of `links`"),
                _flag("harness", "whether the harness itself asked"),
                Column("pid", "BIGINT", "process that connected, where that was witnessed"),
                _text("service", "whose process that was"),
                _s("open_s", "begin of the connection"),
                _s("t_s", "first byte of the request, else begin of the connection"),
                _s("first_byte_s", "first byte of the answer"),
                _s("end_s", "last byte of the answer, or how else it ended"),
                _text("method", "null without a request"),
                _text("path", "as requested"),
                Column("status", "BIGINT", "HTTP status of the answer"),
                _text(
                    "ended",
                    "answered; cut, reset by the server's side; refused, silent (nobody took the "
                    "connection); given_up by the client; garbled; unused; open at the end; "
                    "dropped: frames were lost before",
                ),
                Column("sent_bytes", "BIGINT", "body of the request", "bytes"),
                Column("received_bytes", "BIGINT", "body of the answer so far", "bytes"),
                _text("sent", "the request's body, its first 4 kB"),
                _text("text", "the completion's text, else the answer's body; its first 4 kB"),
                _text("finish", "why the completion ended (stop_type, finish_reason)"),
                _text("sha256", "SHA-256 of the answer's body"),
            ),
        ),
        Table(
            "signals_sent",
            "one signal that a process of the daemon or the injector sent, as witnessed",
            "witness.jsonl",
            (
                _line("witness.jsonl"),
                _s("t_s", "when"),
                Column("pid", "BIGINT", "process id of the sender"),
                _text("service", "whose process that was"),
                Column("target", "BIGINT", "process id; negative: a group, -1: every process"),
                Column("signal", "BIGINT", "its number; 0 only asks whether there is a process"),
                _text("to_service", "whose process the target was, null where nobody witnessed it"),
                _flag("to_watched", "whether the target is witnessed; null if there is no target"),
                _flag("refused", "whether the witness refused it: it would have hit the harness"),
            ),
        ),
        Table(
            "calls_changed",
            "one system call of the daemon that a fault changed, as the witness did it",
            "witness.jsonl",
            (
                _line("witness.jsonl"),
                _s("t_s", "when"),
                Column("pid", "BIGINT", "process id"),
                _text("service", "whose process it was"),
                _text("fault_id", "the fault, as in `faults`"),
                _text("call", "open (to write), rename, link, unlink, truncate, fsync, exec, ..."),
                _text("path", "path in the workspace; absolute outside it; address of a connect"),
                _text("to_path", "for rename and link: the new path"),
                _text(
                    "change",
                    "the error that it failed with, or SIGKILL: its process was ended, and it was "
                    "not done; or delayed: it was done later",
                ),
                Column("bytes", "BIGINT", "size of what was to be published or synced", "bytes"),
                Column("delayed_ms", "DOUBLE", "how long it was held back", "ms"),
            ),
        ),
        Table(
            "file_ops",
            "one change of a file by the daemon or the injector, as witnessed before it happened; "
            "what a fault prevented is in calls_changed",
            "witness.jsonl",
            (
                _line("witness.jsonl"),
                _s("t_s", "when"),
                Column("pid", "BIGINT", "process id"),
                _text("service", "whose process it was"),
                _text("call", "open (to write), rename, link, unlink, truncate or fsync"),
                _text("path", "path in the workspace; absolute outside it"),
                _text("to_path", "for rename and link: the new path"),
                Column("bytes", "BIGINT", "size of what is published or synced", "bytes"),
                _text("sha256", "its SHA-256"),
                Column("cut_bytes", "BIGINT", "whole lines that the file loses by it", "bytes"),
                _text("place", "place of `path` in the queue, as in `files`"),
                _text("to_place", "place of `to_path` in the queue"),
            ),
        ),
    ),
)

# Functions that queries may use; `OpenRun` creates them.
MACROS = {
    "history_ref(line)": "reference to a line of the history, for a column `ref`",
    "decision_ref(line)": "reference to a line of the decision log",
    "server_ref(line)": "reference to a line of the supervisor's record",
    "witness_ref(line)": "reference to a line of the system-call witness",
    "wire_ref(line)": "reference to a line of the wire's witness",
    "in_fault(t_s)": "whether a fault was in force at that time, or being healed",
}
