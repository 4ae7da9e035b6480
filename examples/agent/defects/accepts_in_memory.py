"""Defect: an accepted job is kept in memory until its turn comes. A crash loses it."""

import agent

sound_write, sound_waiting = agent.write, agent.waiting
accepted = []


def write(path, content):
    if path.parent == agent.JOBS:
        accepted.append((path, content))
    else:
        sound_write(path, content)


def waiting():
    yield from sound_waiting()
    while accepted:
        path, content = accepted.pop(0)
        sound_write(path, content)
        yield path


agent.write, agent.waiting = write, waiting
agent.main()
