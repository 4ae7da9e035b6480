"""A queue worker that keeps its queue, its claims and its results in a SQLite database.

    python daemon.py

It stands for any daemon whose work cannot be seen in folders. Each step is durable before the next
one, and may be done again after a crash: a file of inbox/ becomes a row, and is unlinked; the row
is claimed; the LLM is asked once; the answer is committed; the row becomes a line of
decisions.jsonl, then a file of out/, then it is closed. Without an LLM the requests wait. At an
error of the disk or the database it ends with a line that says so.
"""

import json
import os
import signal
import sqlite3
import sys
import threading
import time
import urllib.request
from pathlib import Path

LLM = "http://127.0.0.1:8080/completion"
CALL_LIMIT_S, POLL_S = 5.0, 0.1
INBOX, OUT, LOG, DATABASE = Path("inbox"), Path("out"), Path("decisions.jsonl"), "queue.db"
PAGES_MAX = 3  # of the write-ahead log: a small one, so that a piece of work meets checkpoints
SCHEMA = """
create table if not exists requests (
    id text primary key, body text not null, started real, ended real, answer text,
    closed integer not null default 0)
"""
stop = threading.Event()


def connected():
    database = sqlite3.connect(DATABASE, isolation_level=None)  # a statement is a transaction
    for setting in (
        "journal_mode = wal",
        "synchronous = full",
        f"wal_autocheckpoint = {PAGES_MAX}",
    ):
        database.execute(f"pragma {setting}")
    database.execute(SCHEMA)
    return database


def sync(path):
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def take_in(database):
    for file in sorted(INBOX.glob("*.json"), key=lambda file: file.stat().st_mtime_ns):
        request = (file.name, file.read_text())
        database.execute("insert or ignore into requests (id, body) values (?, ?)", request)
        file.unlink()


def ask(question):
    """The LLM's answer; None if it gave none."""
    body = json.dumps({"prompt": question, "n_predict": 8, "temperature": 0}).encode()
    call = urllib.request.Request(LLM, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(call, timeout=CALL_LIMIT_S) as reply:
            return str(json.load(reply)["content"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        print(f"no answer: {error!r}", flush=True)
        return None


def work(database):
    open_ones = "select id, body from requests where ended is null order by rowid"
    for request, body in database.execute(open_ones).fetchall():
        if stop.is_set():
            return
        database.execute("update requests set started = ? where id = ?", (time.time(), request))
        answer = ask(json.loads(body)["question"])
        if answer is None:
            return
        done = (time.time(), answer, request)
        database.execute("update requests set ended = ?, answer = ? where id = ?", done)


def logged():
    """The requests that the log has; half a last line is cut off, and the rest made durable."""
    with LOG.open("a+b") as log:
        log.seek(0)
        whole = log.read()
        end = whole.rfind(b"\n") + 1
        log.truncate(end)
        os.fsync(log.fileno())
    sync(".")
    return {json.loads(line)["request"] for line in whole[:end].splitlines()}


def tell(database, known):
    """Write what is answered into the log and into out/, each once, and close it."""
    answered = "select id, started, ended, answer from requests where ended is not null"
    for request, started, ended, answer in database.execute(
        f"{answered} and not closed"
    ).fetchall():
        if request not in known:
            with LOG.open("a") as log:
                line = {"request": request, "status": "done", "start": started, "end": ended}
                log.write(json.dumps(line) + "\n")
                log.flush()
                os.fsync(log.fileno())
            known.add(request)
        part = OUT / f".{request}.part"
        with part.open("w") as out:
            json.dump({"answer": answer}, out)
            out.flush()
            os.fsync(out.fileno())
        part.rename(OUT / request)
        sync(OUT)
        database.execute("update requests set closed = 1 where id = ?", (request,))


def main():
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        for folder in (INBOX, OUT):
            folder.mkdir(exist_ok=True)
        database, known = connected(), logged()
        tell(database, known)  # what an earlier life had no time for
        while not stop.wait(POLL_S):
            take_in(database)
            work(database)
            tell(database, known)
        database.close()
    except (OSError, sqlite3.Error) as error:
        print(f"cannot go on: {error}", file=sys.stderr, flush=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
