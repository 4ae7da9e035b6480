"""A queue worker with a sound protocol against crashes, and six ways to spoil it.

    python worker.py [DEFECT]

It stands for any daemon that works off files: claim, work, publish, log, archive. After a start it
finishes what an earlier life left. `DEFECT` is one of those of issue trackers: see DEFECTS.
"""

import json
import os
import signal
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
)
DEFECT = sys.argv[1] if len(sys.argv) > 1 else ""
POLL_S = 0.1
LOG = Path("decisions.jsonl")
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
    write(part, text, durable=DEFECT != "no_fsync")
    part.rename(path)
    if DEFECT != "folder_not_synced":
        sync_folder(path.parent)


def move(file, folder):
    file.rename(folder / file.name)
    sync_folder(folder)
    sync_folder(file.parent)


def logged():
    """The requests that the log has; half a last line is cut off."""
    if not LOG.exists():
        return set()
    whole = LOG.read_bytes()
    end = whole.rfind(b"\n") + 1
    if end < len(whole):
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


def work(file, done=()):
    """A claimed request, unless it is done: its result, its line; then into the archive."""
    if file.name not in done:
        start = time.time()
        publish(OUT / file.name, json.dumps({"answer": len(file.read_text())}))
        line = {"request": file.name, "status": "done", "start": start, "end": time.time()}
        with LOG.open("a") as log:
            log.write(json.dumps(line) + "\n")
            log.flush()
            os.fsync(log.fileno())
    archive(file)


def main():
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    for folder in (INBOX, CLAIMED, OUT, ARCHIVE):
        folder.mkdir(exist_ok=True)
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


if __name__ == "__main__":
    main()
