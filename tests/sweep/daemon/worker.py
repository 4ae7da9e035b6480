"""A queue worker with a sound protocol against crashes and errors, and ten ways to spoil it.

    python worker.py [DEFECT | child]

It stands for any daemon that works off files: claim, work, publish, log, archive. After a start it
finishes what an earlier life left. At an error of the disk it ends with a line that says so.
`DEFECT` is one of those of issue trackers: see DEFECTS. `child` is none: a child makes the results.
"""

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

DEFECTS = (
    "no_fsync",  # the result is published before its content is durable
    "log_before_archive",  # logged work is done again if its archiving was cut off
    "archive_in_two_steps",  # removed from the claimed, then written into the archive
    "write_in_place",  # the result is written under its final name
    "claim_by_copy",  # copied to the claimed, then removed from the queue
    "folder_not_synced",  # the result's name is not durable when the log says that it is there
    "trusts_lock",  # a child makes the results; the lock of a dead one is waited for, for ever
    "swallows_error",  # a line that cannot be logged is given up, and the request archived
    "publishes_empty",  # without space the result is emptied, and published all the same
    "ends_silently",  # an error at the archive ends it without a word
)
DEFECT = sys.argv[1] if len(sys.argv) > 1 else ""
POLL_S, ATTEMPTS = 0.1, 3
LOG, LOCK = Path("decisions.jsonl"), Path("child.lock")
INBOX, CLAIMED, OUT, ARCHIVE = (Path(name) for name in ("inbox", "claimed", "out", "archive"))
stop = threading.Event()


def sync_folder(folder):
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def write(path, text, *, durable=True):
    with path.open("w") as out:
        out.write(text)
        out.flush()
        if durable:
            os.fsync(out.fileno())


def publish(path, text):
    """The file is there whole or not at all."""
    if DEFECT == "write_in_place":
        write(path, text, durable=False)
        return
    part = path.with_name(f".{path.name}.part")
    try:
        write(part, text, durable=DEFECT != "no_fsync")
    except OSError as error:
        if DEFECT != "publishes_empty" or error.errno != errno.ENOSPC:
            raise
        part.write_text("")  # makes room
    part.rename(path)
    if DEFECT != "folder_not_synced":
        sync_folder(path.parent)


def move(file, folder):
    file.rename(folder / file.name)
    sync_folder(folder)
    sync_folder(file.parent)


def logged():
    """The requests that the log has; half a last line is cut off, and the rest made durable."""
    if not LOG.exists():
        return set()
    whole = LOG.read_bytes()
    end = whole.rfind(b"\n") + 1
    with LOG.open("r+b") as log:
        log.truncate(end)
        os.fsync(log.fileno())
    return {json.loads(line)["request"] for line in whole[:end].splitlines()}


def claim(file):
    if DEFECT != "claim_by_copy":
        move(file, CLAIMED)
        return
    write(CLAIMED / file.name, file.read_text())
    sync_folder(CLAIMED)
    file.unlink()


def archive(file):
    if DEFECT != "archive_in_two_steps":
        move(file, ARCHIVE)
        return
    text = file.read_text()
    file.unlink()
    publish(ARCHIVE / file.name, text)


def answer(file):
    publish(OUT / file.name, json.dumps({"answer": len(file.read_text())}))


def answer_by_child(file):
    """A child does it under a lock. One that ended early has done nothing that harms."""
    for _ in range(ATTEMPTS):
        if subprocess.run([sys.executable, "-S", __file__, DEFECT, file.name]).returncode == 0:
            return
    raise OSError(f"no child made the result of {file.name}")


def be_child(name):
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        answer(CLAIMED / name)
        LOCK.unlink()


def await_child():
    """A child may work on after its parent was killed."""
    if DEFECT == "trusts_lock":
        while LOCK.exists() and not stop.wait(POLL_S):
            pass
    elif LOCK.exists():
        with LOCK.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)


def log(line):
    with LOG.open("a") as out:
        size = out.tell()
        try:
            out.write(json.dumps(line) + "\n")
            out.flush()
            os.fsync(out.fileno())
        except OSError:
            if DEFECT != "swallows_error":
                raise
            os.ftruncate(out.fileno(), size)  # no half line stays


def work(file, done=()):
    """A claimed request, unless it is done: its result, its line; then into the archive."""
    if file.name not in done:
        start = time.time()
        answer_by_child(file) if DEFECT in ("child", "trusts_lock") else answer(file)
        log({"request": file.name, "status": "done", "start": start, "end": time.time()})
    try:
        archive(file)
    except OSError:
        if DEFECT == "ends_silently":
            sys.exit(1)
        raise


def serve():
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    for folder in (INBOX, CLAIMED, OUT, ARCHIVE):
        folder.mkdir(exist_ok=True)
    await_child()
    done = logged()
    for file in sorted(CLAIMED.glob("*.json")):  # an earlier life was cut off
        work(file, () if DEFECT == "log_before_archive" else done)
    while not stop.wait(POLL_S):
        for file in sorted(INBOX.glob("*.json")):
            claim(file)
            work(CLAIMED / file.name)
            status = Path(".status.part")
            status.write_text(json.dumps({"last": file.name}))
            status.rename("status.json")


def main():
    try:
        be_child(sys.argv[2]) if len(sys.argv) > 2 else serve()
    except OSError as error:
        print(f"cannot go on: {error}", file=sys.stderr, flush=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
