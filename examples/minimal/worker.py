"""A queue worker: each file in inbox/ is a question; the answer of the LLM goes to outbox/.

A file is {"question": "..."}. Its answer has the same name; then the question is deleted.
Without an LLM the questions wait. A file that holds no question goes to rejected/.
"""

import json
import os
import signal
import threading
import urllib.request
from pathlib import Path

LLM = "http://127.0.0.1:8080/completion"
CALL_LIMIT_S, ATTEMPTS, POLL_S = 5.0, 3, 0.5
stop = threading.Event()


def ask(question):
    """The LLM's answer; None if it gave none, however often it was asked."""
    body = json.dumps({"prompt": question, "n_predict": 24, "temperature": 0}).encode()
    call = urllib.request.Request(LLM, body, {"Content-Type": "application/json"})
    for attempt in range(ATTEMPTS):
        try:
            if not stop.wait(attempt):  # seconds: a longer pause each time
                with urllib.request.urlopen(call, timeout=CALL_LIMIT_S) as reply:
                    return str(json.load(reply)["content"])
        except (OSError, ValueError, LookupError, TypeError) as error:
            print(f"no answer: {error!r}", flush=True)
    return None


def handle(file):
    """True if the question is off the queue."""
    answered, part = Path("outbox", file.name), Path("outbox", f".{file.name}.part")
    if not answered.exists():  # else an earlier life was ended before it deleted the question
        try:
            question = json.loads(file.read_bytes())["question"] if file.is_file() else None
            if not isinstance(question, str):
                raise TypeError("it holds no question")
        except (ValueError, LookupError, TypeError) as error:
            print(f"{file.name} is rejected: {error!r}", flush=True)
            file.replace(Path("rejected", file.name))
            return True
        answer = ask(question)
        if answer is None:
            return False
        try:  # the answer is there whole or not at all, also after a crash
            with part.open("w") as out:
                json.dump({"answer": answer}, out)
                out.flush()
                os.fsync(out.fileno())
            part.replace(answered)
        finally:
            part.unlink(missing_ok=True)
    file.unlink()
    return True


def main():
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    while not stop.wait(POLL_S):
        try:
            for folder in ("inbox", "outbox", "rejected"):
                Path(folder).mkdir(exist_ok=True)
            waiting = sorted(Path("inbox").glob("*.json"), key=lambda f: f.lstat().st_mtime_ns)
            for file in waiting:
                if stop.is_set() or not handle(file):
                    break  # without an LLM the next question has to wait as well
        except OSError as error:  # a full disk, a file that is gone again: try again
            print(f"trouble: {error!r}", flush=True)


if __name__ == "__main__":
    main()
