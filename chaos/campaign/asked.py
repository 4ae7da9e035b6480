"""What a campaign was asked for, by a file or by options, as planned runs.

All of them are resolved here, before the first one starts, so that a mistake in the last one is
reported at once. Must not start runs.
"""

from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import msgspec

from chaos.base.errors import UsageError
from chaos.base.yamlfile import Document, read
from chaos.campaign.options import CampaignOptions
from chaos.campaign.state import Common, Entry, request_of
from chaos.gate.settings import absolute
from chaos.gate.steps import OVERHEAD_S, config_digest
from chaos.plan.plan import Plan
from chaos.plan.schedule import draw
from chaos.runner.options import CONTROL
from chaos.runner.resolve import SEED_MAX, resolve

RUNS_MAX = 10_000
SHARDS_MAX = 1000

_Texts = Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
_Seeds = int | Annotated[tuple[int, ...], msgspec.Meta(min_length=1)]


class CampaignFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content of the file of a campaign."""

    soaks: _Texts
    faults: Annotated[tuple[str | _Texts, ...], msgspec.Meta(min_length=1)] = (CONTROL,)
    seeds: _Seeds = 1
    targets: _Texts | None = None
    profile: str | None = None
    set: dict[str, Any] = {}


def planned(options: CampaignOptions) -> tuple[Common, tuple[Entry, ...]]:
    """The runs in their order: all soaks, targets and faults with the first seed, and so on.

    Raises `UsageError` with the place of the first mistake, in the file or of an option.
    """
    if options.words:
        return _from_file(options)
    if not options.soak:
        raise UsageError(
            "which soaks?",
            place="chaos campaign",
            next_step="--soak soak_c --fault llm_timeout --seeds 10, or the file of a campaign",
        )
    content = CampaignFile(
        soaks=tuple(options.soak),
        faults=tuple(options.fault) or (CONTROL,),
        seeds=_seeds(options.seeds or "1"),
        targets=tuple(options.target) or None,
        profile=options.profile,
    )
    common = _common(options, options.profile, tuple(options.set))
    return common, _entries(content, common, "--seeds", lambda place, *_: place)


def _seeds(text: str) -> int | tuple[int, ...]:
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() and len(word) < 20 for word in words):
        raise UsageError(
            f"{text!r} is neither a number of seeds nor a list of them",
            place="--seeds",
            next_step="--seeds 20 takes 1 to 20; --seeds 3,17 takes these two",
        )
    numbers = tuple(int(word) for word in words)
    return numbers if len(numbers) > 1 else numbers[0]


def _from_file(options: CampaignOptions) -> tuple[Common, tuple[Entry, ...]]:
    if len(options.words) > 1:
        raise UsageError("one file at a time", place=" ".join(options.words[1:]))
    given = {
        "--soak": options.soak,
        "--fault": options.fault,
        "--target": options.target,
        "--seeds": options.seeds,
        "--profile": options.profile,
        "--set": options.set,
    }
    if both := [name for name, value in given.items() if value]:
        raise UsageError(
            "stands in the file", place=both[0], next_step="change the file, or name no file"
        )
    document = read(Path(options.words[0]))
    content = document.to(CampaignFile)
    changes = tuple(f"{key}={_written(value)}" for key, value in content.set.items())
    common = _common(options, content.profile, changes)

    def place_of(place: str, soak: int, target: int, fault: int) -> str:
        return _in_file(document, place, soak, target, fault)

    return common, _entries(content, common, document.place("seeds"), place_of)


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _in_file(document: Document, place: str, soak: int, target: int, fault: int) -> str:
    """Translate the place of an error, an option of `chaos run`, to its place in the file."""
    option, _, name = place.partition(" ")
    if option == "--set":
        keys = document.data["set"]
        return document.place("set", next((k for k in keys if f"{k}.".startswith(f"{name}.")), ""))
    keys_of: dict[str, tuple[str | int, ...]] = {
        "": ("soaks", soak),
        "--fault": ("faults", fault),
        "--target": ("targets", target),
        "--profile": ("profile",),
        "--seed": ("seeds",),
    }
    return document.place(*keys_of[option]) if option in keys_of else place


def _common(options: CampaignOptions, profile: str | None, changes: tuple[str, ...]) -> Common:
    return Common(
        profile=profile,
        overrides=changes,
        sandbox=options.sandbox or "namespaces",
        backend=options.backend or "local",
        gpu=options.gpu,
        skip_unavailable=options.skip_unavailable,
    )


def _entries(
    content: CampaignFile,
    common: Common,
    seeds_place: str,
    place_of: Callable[[str, int, int, int], str],
) -> tuple[Entry, ...]:
    """The planned runs. `place_of`: of an error, by the numbers of soak, target and fault."""
    if isinstance(content.seeds, int) and not 1 <= content.seeds <= RUNS_MAX:
        raise UsageError("out of range", place=seeds_place, next_step=f"from 1 to {RUNS_MAX}")
    seeds = range(1, content.seeds + 1) if isinstance(content.seeds, int) else content.seeds
    if bad := [seed for seed in seeds if not 0 <= seed <= SEED_MAX]:
        raise UsageError(
            f"{bad[0]} is out of range", place=seeds_place, next_step=f"from 0 to {SEED_MAX}"
        )
    targets = content.targets or (None,)
    count = len(seeds) * len(content.soaks) * len(targets) * len(content.faults)
    if count > RUNS_MAX:
        raise UsageError(
            f"{count} runs are more than {RUNS_MAX}", place=seeds_place, next_step="fewer seeds"
        )
    entries = []
    # Seeds outermost: a campaign that was cut short has seen everything, less often.
    choices = product(
        seeds, enumerate(content.soaks), enumerate(targets), enumerate(content.faults)
    )
    for index, (seed, (s, soak), (t, target), (f, faults)) in enumerate(choices, start=1):
        bare = Entry(
            index=index,
            soak=absolute(soak),
            faults=(faults,) if isinstance(faults, str) else faults,
            target=None if target is None else absolute(target),
            seed=seed,
            profile="",
            schedule_hash="",
            plan_digest="",
            planned_s=0.0,
            command="",
        )
        try:
            entries.append(filled(bare, resolve(request_of(bare, common))))
        except UsageError as error:
            error.place = place_of(error.place, s, t, f)
            raise
    return tuple(entries)


def filled(entry: Entry, plan: Plan) -> Entry:
    """The entry with what its resolved plan says."""
    profile = plan.profile
    return msgspec.structs.replace(
        entry,
        profile=plan.profile_name,
        schedule_hash=draw(plan).hash,
        plan_digest=config_digest(plan.to_json()),
        planned_s=profile.baseline_s + profile.storm_s + profile.quiet_s + OVERHEAD_S,
        command=plan.reproduce,
    )


def check_unchanged(entries: Sequence[Entry], common: Common) -> None:
    """Raise `UsageError` if one of these would be another run today."""
    for entry in entries:
        if filled(entry, resolve(request_of(entry, common))) != entry:
            raise UsageError(
                f"run {entry.index} ({entry.title}) is not what it was when the campaign began",
                place="--resume",
                next_step="restore the files of its soak and target, or begin a new campaign",
            )


def parsed_shard(text: str | None) -> tuple[int, int] | None:
    """'2/5' -> (2, 5). Raises `UsageError`."""
    if text is None:
        return None
    first, slash, count = text.partition("/")
    if slash and first.isdecimal() and count.isdecimal():
        number, of = int(first[:9]), int(count[:9])
        if 1 <= number <= of <= SHARDS_MAX:
            return number, of
    raise UsageError(
        f"{text!r} is no part of a campaign",
        place="--shard",
        next_step=f"I/N, e.g. 2/5: from 1/N to N/N, N at most {SHARDS_MAX}",
    )
