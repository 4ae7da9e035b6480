"""Merges the parts of a campaign. The order in which they are named changes no byte of the result.

Attempts of the same run keep the order in which they ended; the same attempt in two parts is one.
Must not know how runs are made.
"""

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec

from chaos.base.errors import UsageError, os_errors_told
from chaos.campaign.attempts import ATTEMPT, Made, attempts_of
from chaos.campaign.state import Campaign, CampaignDir


def merge(parts: Sequence[CampaignDir], to: Path) -> tuple[CampaignDir, Campaign]:
    """Copy the runs of all parts into the new folder `to`. Raises `ChaosError`.

    Until all is copied, it is made beside `to`, so that `to` is never half a campaign.
    """
    if to.exists() or to.is_symlink():
        raise UsageError("is there already", place=f"--to {to}", next_step="name a new folder")
    plans = [part.read() for part in parts]
    for part, plan in zip(parts, plans, strict=True):
        if plan.plan != plans[0].plan:
            raise UsageError(
                f"is not a part of the same campaign as {parts[0].path}",
                place=str(part.path),
                next_step="merge parts that were begun with the same file or options",
            )
    campaign = msgspec.structs.replace(
        plans[0], created=min(plan.created for plan in plans), shard=None
    )
    target = to.resolve()
    made = CampaignDir(target.with_name(f".{target.name}.part"))
    with os_errors_told("cannot merge", to, next_step="free some space or name another folder"):
        shutil.rmtree(made.path, ignore_errors=True)
        made.runs.mkdir(parents=True)
        made.write(campaign)
        for entry in campaign.entries:
            found = {_key(one): one for part in parts for one in attempts_of(part, entry)}
            for number, key in enumerate(sorted(found), start=1):
                place = made.attempts(entry.index) / str(number)
                shutil.copytree(found[key].path, place, symlinks=True)
        made.path.rename(target)
    return CampaignDir(target), campaign


def _key(made: Made) -> tuple[float, str]:
    """When an attempt ended, and the digest of what was found: its place in the order."""
    content = (made.path / ATTEMPT).read_bytes()
    verdict = made.path / "verdict.json"
    content += verdict.read_bytes() if verdict.is_file() else b""
    return made.attempt.ended_epoch_s, hashlib.sha256(content).hexdigest()
