"""Watcher and injector killed, paused, restarted, doubled."""

from __future__ import annotations

from chaos.faults.base import Fault
from chaos.faults.process.dispatch_crash import WatcherDispatchCrash
from chaos.faults.process.killed import InjectorKilled, WatcherKilled
from chaos.faults.process.paused import InjectorPaused, WatcherPaused
from chaos.faults.process.restarted import InjectorRestarted, WatcherRestarted
from chaos.faults.process.second import WatcherSecond

KINDS: tuple[type[Fault], ...] = (
    WatcherKilled,
    WatcherPaused,
    WatcherRestarted,
    WatcherDispatchCrash,
    WatcherSecond,
    InjectorKilled,
    InjectorPaused,
    InjectorRestarted,
)
