"""An agent: takes jobs by HTTP, asks an LLM that may use tools, writes a result file for each job.

POST /jobs {"id": "a.json", "task": "..."} is answered by 202 once the job lies in jobs/. Its result
gets the same name in results/. memory.json has the last notes. Without an LLM the jobs wait.
"""

import json
import os
import re
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import llm
import tools

ADDRESS, BODY_MAX, POLL_S = ("127.0.0.1", 9090), 1 << 16, 0.5
JOBS, RESULTS, MEMORY = Path("jobs"), Path("results"), Path("memory.json")
accepting = threading.Lock()


def write(path, content):
    """Under its name the file is there whole or not at all, also after a crash."""
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(exist_ok=True)
        with part.open("w") as out:
            json.dump(content, out)
            out.flush()
            os.fsync(out.fileno())
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def accept(body):
    """The status that answers a POST: 202 only when the job is on the disk. Repeating is safe."""
    try:
        job = json.loads(body)
        good = re.fullmatch(r"\w[\w.-]{0,99}\.json", job["id"]) and isinstance(job["task"], str)
    except (ValueError, LookupError, TypeError, RecursionError):
        good = False
    if not good:
        return 400
    try:
        with accepting:
            if not (JOBS / job["id"]).exists() and not (RESULTS / job["id"]).exists():
                write(JOBS / job["id"], job)
    except OSError as error:
        print(f"not accepted: {error!r}", flush=True)
        return 503
    return 202


class Handler(BaseHTTPRequestHandler):
    timeout = 5

    def do_GET(self):
        self.answer(200 if self.path == "/health" else 404)

    def do_POST(self):
        size = self.headers.get("Content-Length", "")
        good = self.path == "/jobs" and size.isdigit() and int(size) <= BODY_MAX
        self.answer(accept(self.rfile.read(int(size))) if good else 400)

    def answer(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    def handle_error(self, *_):
        print(f"a client went away: {sys.exception()!r}", flush=True)


def handle(file):
    """Work on a job. True if it is off the queue."""
    result = RESULTS / file.name
    if not result.exists():  # else an earlier life was ended before it deleted the job
        notes, calls, started = tools.notes_in(MEMORY), [], llm.now()
        try:
            outcome = tools.work(json.loads(file.read_bytes())["task"], notes, calls)
        except (ValueError, LookupError, TypeError) as error:
            outcome = ("REJECTED", f"no job: {error!r}")
        if outcome is None:
            return False
        said = {"status": outcome[0], "text": outcome[1], "calls": calls}
        write(result, {"job": file.name, **said, "started": started, "ended": llm.now()})
        write(MEMORY, notes)
    file.unlink()
    return True


def waiting():
    return sorted(JOBS.glob("*.json"), key=lambda file: file.stat().st_mtime_ns)


def main():
    signal.signal(signal.SIGTERM, lambda *_: llm.stop.set())
    server = Server(ADDRESS, Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    while not llm.stop.wait(POLL_S):
        try:
            for file in waiting():
                if llm.stop.is_set() or not handle(file):
                    break  # without an LLM the next job has to wait as well
        except OSError as error:  # a full disk: try again
            print(f"trouble: {error!r}", flush=True)


if __name__ == "__main__":
    main()
