"""`campaign.json`: which run has which number. Written once, before the first run::

    runs/campaign/20260203-101500-s7-1a2b/
      campaign.json        this file
      campaign.lock        locked by the process that makes the runs
      runs/INDEX/ATTEMPT/  a run directory, and attempt.json; there only once it is complete
      scratch/             where runs are made
      result.json          what they show, for lists; written when the process ends
      junit.xml            a test case for each run
      campaign.html        the result for people

What was made is read from the listing of `runs/` alone, so that a campaign can go on after any
end. Must not know how runs are made.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from chaos.base.version import __version__
from chaos.plan.plan import Backend, Sandbox
from chaos.record.batch_list import CAMPAIGN_RESULT, CAMPAIGNS
from chaos.record.state_folder import StateFolder
from chaos.runner.resolve import Request

SCHEMA = 1


class Common(msgspec.Struct, frozen=True, kw_only=True):
    """The options that all runs of a campaign share."""

    profile: str | None = None
    overrides: tuple[str, ...] = ()
    sandbox: Sandbox = "namespaces"
    backend: Backend = "local"
    gpu: bool = False
    skip_unavailable: bool = False


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One planned run. `faults`: those of its `--fault`; () for a clean run.

    `plan_digest` is that of its config (SHA-256, hex), `planned_s` its expected duration.
    """

    index: int  # from 1
    soak: str
    faults: tuple[str, ...]
    target: str | None
    seed: int
    profile: str
    schedule_hash: str
    plan_digest: str
    planned_s: float
    command: str  # repeats this run alone

    @property
    def fault(self) -> str:
        """Its faults as one text; `none` for a clean run."""
        return " + ".join(self.faults) or "none"

    @property
    def title(self) -> str:
        """'soak_b of my.yaml under llm_timeout, seed 7'; without a target if it is the soak's."""
        target = f" of {self.target}" if self.target else ""
        return f"{self.soak}{target} under {self.fault}, seed {self.seed}"


class Campaign(msgspec.Struct, kw_only=True):
    """The content of `campaign.json`. `plan` is the SHA-256 of what is to be run (hex).

    `shard`: (i, n), only every n-th run from the i-th on; None: all.
    """

    created: str  # UTC
    chaos: str
    plan: str
    common: Common
    entries: tuple[Entry, ...]
    shard: tuple[int, int] | None = None
    schema: int = SCHEMA

    @property
    def share(self) -> list[Entry]:
        """The entries that are to be made here."""
        first, step = self.shard or (1, 1)
        return list(self.entries[first - 1 :: step])


def request_of(entry: Entry, common: Common) -> Request:
    """What `chaos run` is asked for."""
    return Request(
        soak=entry.soak,
        profile=common.profile,
        target=entry.target,
        faults=entry.faults,
        seed=entry.seed,
        overrides=common.overrides,
        sandbox=common.sandbox,
        backend=common.backend,
        gpu=common.gpu,
        skip_unavailable=common.skip_unavailable,
    )


_STATE = StateFolder(CAMPAIGNS, Campaign)


@dataclass(frozen=True)
class CampaignDir:
    """The folder of one campaign."""

    path: Path

    @property
    def state(self) -> Path:
        """The plan (JSON)."""
        return _STATE.file(self.path)

    @property
    def runs(self) -> Path:
        """The complete runs: INDEX/ATTEMPT."""
        return self.path / "runs"

    @property
    def scratch(self) -> Path:
        """Where runs are made: INDEX/SOAK/NAME."""
        return self.path / "scratch"

    @property
    def result(self) -> Path:
        """What the runs show, for lists (JSON)."""
        return self.path / CAMPAIGN_RESULT

    @property
    def junit(self) -> Path:
        """A test case for each run."""
        return self.path / "junit.xml"

    @property
    def page(self) -> Path:
        """The result for people."""
        return self.path / "campaign.html"

    def attempts(self, index: int) -> Path:
        """The folder with the attempts of one run."""
        return self.runs / f"{index:05}"

    def read(self) -> Campaign:
        """The plan. Raises `UsageError` if it is none of this version."""
        return _STATE.read(self.path)

    def write(self, campaign: Campaign) -> None:
        """Write the plan. Raises `EnvironmentProblem` if that fails."""
        _STATE.write(self.path, campaign)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the campaign for this process. Raises `UsageError` if another one has the lock."""
        with _STATE.locked(self.path):
            yield


def plan_digest(common: Common, entries: tuple[Entry, ...]) -> str:
    """The SHA-256 (hex) of what is to be run, whoever runs which part of it."""
    return hashlib.sha256(msgspec.json.encode((SCHEMA, __version__, common, entries))).hexdigest()


def begin(
    common: Common, entries: tuple[Entry, ...], shard: tuple[int, int] | None, root: Path
) -> tuple[CampaignDir, Campaign]:
    """Make the folder of a new campaign below `root`. Raises `ChaosError` if it cannot be made."""
    path, created = _STATE.begin(root, entries[0].seed)
    campaign = Campaign(
        created=created,
        chaos=__version__,
        plan=plan_digest(common, entries),
        common=common,
        entries=entries,
        shard=shard,
    )
    folder = CampaignDir(path)
    folder.write(campaign)
    return folder, campaign


def find_campaign(name: str, root: Path, *, place: str = "--resume") -> CampaignDir:
    """A campaign by its folder, its name, or `latest`. Raises `UsageError` if there is none."""
    return CampaignDir(_STATE.find(name.removeprefix(f"{CAMPAIGNS}/"), root, place=place))


def named(reference: str, root: Path) -> CampaignDir | None:
    """The campaign that `chaos sql` was told of; None if that is no campaign.

    Its folder, `campaign/NAME` or `campaign/latest`.
    """
    if reference.startswith(f"{CAMPAIGNS}/"):
        return find_campaign(reference, root, place="chaos sql")
    folder = CampaignDir(Path(reference))
    return folder if folder.state.is_file() else None
