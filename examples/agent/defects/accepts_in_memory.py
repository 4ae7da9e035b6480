"""Defect: accepted jobs, up to five, are kept in memory until their turn. A crash loses them."""

import agent

sound_write, sound_waiting = agent.write, agent.waiting
accepted = []


def write(path, content):
    if path.parent != agent.JOBS:
        sound_write(path, content)
    elif len(accepted) < 5:
        accepted.append((path, content))
    else:
        raise OSError("too many jobs")


def waiting():
    yield from sound_waiting()
    while accepted:
        path, content = accepted.pop(0)
        sound_write(path, content)
        yield path


agent.write, agent.waiting = write, waiting
agent.main()
