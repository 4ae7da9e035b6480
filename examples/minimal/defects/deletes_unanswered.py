"""Defect: a question that gets no answer is deleted."""

import worker

sound = worker.handle


def handle(file):
    if not sound(file):
        file.unlink()
    return True


worker.handle = handle
worker.main()
