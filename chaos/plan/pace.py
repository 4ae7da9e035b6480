"""A soak at the pace of its target: a daemon that looks for work every 30 s needs longer phases.

The shipped profiles are made for a daemon that notices work within a second or so. A fault has to
hold until the daemon meets it: until it has looked for work, and been at work. Events, and work
that a soak feeds, come no faster than the daemon can work. Pure.
"""

from msgspec.structs import replace

from chaos.plan.experiment import Profile
from chaos.record.target import Target

_MEETS = 1.5  # so many times what the daemon takes to notice and do a piece of work
_LONG_STORM_S = 300.0  # of the full profiles, which are made for the pace of the plan (30 s)
_SHORT_HOLD_S = 15.0  # that the phases of the quick profiles are made for
# Events come this much slower than the daemon works them off, so that a queue stays short.
_SLOWER = 1.5
_INTERVAL = "draw_interval_s"


def hold_min_s(target: Target) -> float:
    """How long a fault must hold at least, so that the daemon meets it."""
    return _MEETS * (target.poll_interval_s + target.work.unit_s)


def paced(profile: Profile, target: Target) -> Profile:
    """`profile` with phases and times between events long enough for `target`; never shorter."""
    least_s = _SLOWER * target.work.unit_s
    if profile.settings.get(_INTERVAL, least_s) < least_s:
        profile = replace(profile, settings=profile.settings | {_INTERVAL: least_s})
    longer = hold_min_s(target) / _SHORT_HOLD_S
    if longer <= 1.0 or profile.storm_s >= _LONG_STORM_S:
        return profile
    return replace(
        profile,
        baseline_s=round(profile.baseline_s * longer, 1),
        storm_s=round(profile.storm_s * longer, 1),
        quiet_s=round(profile.quiet_s * longer, 1),
        drain_limit_s=round(profile.drain_limit_s * longer, 1),
    )
