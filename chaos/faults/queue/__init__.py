"""Files in the queue that no careful producer would write, and what goes wrong around them."""

from __future__ import annotations

from chaos.faults.base import Fault
from chaos.faults.queue.queue_bad_file import (
    QueueInvalidUtf8,
    QueueNulTail,
    QueueUnreadable,
    QueueWrongShape,
    QueueWrongType,
    QueueZeroLength,
)
from chaos.faults.queue.queue_corruption import QueueCorruption
from chaos.faults.queue.queue_duplicate import QueueDuplicateFile, QueueDuplicateId
from chaos.faults.queue.queue_flood import QueueFlood
from chaos.faults.queue.queue_future_time import QueueFutureTime
from chaos.faults.queue.queue_halt_race import QueueHaltRace
from chaos.faults.queue.queue_poison_head import QueuePoisonHead
from chaos.faults.queue.queue_stale_lock import QueueStaleLock
from chaos.faults.queue.queue_torn_log import QueueTornLog
from chaos.faults.queue.queue_torn_write import QueueTornWrite
from chaos.faults.queue.queue_vanishing import QueueVanishing

KINDS: tuple[type[Fault], ...] = (
    QueueCorruption,
    QueueTornWrite,
    QueueZeroLength,
    QueueNulTail,
    QueueInvalidUtf8,
    QueueWrongShape,
    QueueWrongType,
    QueueDuplicateId,
    QueueDuplicateFile,
    QueueVanishing,
    QueueUnreadable,
    QueuePoisonHead,
    QueueStaleLock,
    QueueFutureTime,
    QueueFlood,
    QueueTornLog,
    QueueHaltRace,
)
