"""Reads `experiments/gate.yaml`: the soaks, faults and profiles of a gate.

Errors name file, line and key.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from chaos.base.errors import UsageError, unknown_name
from chaos.base.shipped import EXPERIMENTS
from chaos.base.yamlfile import Document, read
from chaos.plan.experiment import Seconds
from chaos.runner.choose import chosen_faults
from chaos.runner.resolve import GATE, is_path, soak_names
from chaos.sweep.request import checked_errors, checked_kinds

Names = Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]


class _Model(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    pass


class SweepSettings(_Model, frozen=True):
    """The crash sweep of a profile, made after the runs of the soak `after`.

    `points`: all, or so many, drawn by the gate's seed. `kinds`: of break. `errors`: of the kind
    `error`; without them those of `chaos sweep`. `work`: only these kinds of work of the target.
    """

    after: str
    points: Annotated[int, msgspec.Meta(ge=1)] | Literal["all"] = "all"
    kinds: Names = ("crash",)
    errors: tuple[str, ...] = ()
    work: tuple[str, ...] = ()


class GateProfile(_Model, frozen=True):
    """A scale of the gate: the pause after each run, changed settings per soak, a crash sweep.

    `set` maps a soak to settings: key -> value. Without `sweep` there is no crash sweep, and
    PRODUCTION-READY does not ask for one.
    """

    cooldown_s: Seconds
    sweep: SweepSettings | None = None
    set: dict[str, dict[str, Any]] = {}


class GateSettings(_Model, frozen=True):
    """The content of a gate file. The verdict PRODUCTION-READY requires all `soaks`."""

    soaks: Names
    faults: Names
    default_profile: str
    profiles: dict[str, GateProfile]


def default_path() -> Path:
    """The path of the gate file that is used without --config."""
    return EXPERIMENTS / f"{GATE}.yaml"


def read_settings(path: Path) -> GateSettings:
    """Read a gate file; paths of soaks become absolute. Raises `UsageError` for a mistake in it."""
    document = read(path)
    settings = document.to(GateSettings)
    _check(document, settings)
    profiles = {
        name: msgspec.structs.replace(
            profile, set={absolute(soak): changes for soak, changes in profile.set.items()}
        )
        for name, profile in settings.profiles.items()
    }
    soaks = tuple(absolute(soak) for soak in settings.soaks)
    return msgspec.structs.replace(settings, soaks=soaks, profiles=profiles)


def _check(document: Document, settings: GateSettings) -> None:
    """Check the names in the file, so that an error names the file and not an option."""
    if settings.default_profile not in settings.profiles:
        place = document.place("default_profile")
        raise unknown_name("profile", settings.default_profile, settings.profiles, place=place)
    known = soak_names()
    for number, soak in enumerate(settings.soaks):
        if not is_path(soak) and soak not in known:
            raise unknown_name("soak", soak, known, place=document.place("soaks", number))
    for number, fault in enumerate(settings.faults):
        _check_faults([fault], document.place("faults", number))
    _check_faults(settings.faults, document.place("faults"))
    soaks = [absolute(soak) for soak in settings.soaks]
    for name, profile in settings.profiles.items():
        for soak in profile.set:
            if absolute(soak) not in soaks:
                place = document.place("profiles", name, "set", soak)
                raise unknown_name("soak", soak, settings.soaks, place=place)
        if profile.sweep is not None:
            _check_sweep(document, settings, name, profile.sweep)


def _check_sweep(
    document: Document, settings: GateSettings, profile: str, sweep: SweepSettings
) -> None:
    if absolute(sweep.after) not in [absolute(soak) for soak in settings.soaks]:
        place = document.place("profiles", profile, "sweep", "after")
        raise unknown_name("soak", sweep.after, settings.soaks, place=place)
    words = [("kinds", n, word) for n, word in enumerate(sweep.kinds)]
    words += [("errors", n, word) for n, word in enumerate(sweep.errors)]
    for key, number, word in words:
        try:
            checked_kinds(word) if key == "kinds" else checked_errors([word])
        except UsageError as error:
            error.place = document.place("profiles", profile, "sweep", key, number)
            raise
    if sweep.errors and "error" not in sweep.kinds:
        raise UsageError(
            "no call fails: `error` is not among the kinds",
            place=document.place("profiles", profile, "sweep", "errors"),
            next_step="add error to kinds, or leave errors out",
        )


def _check_faults(faults: Sequence[str], place: str) -> None:
    try:
        chosen_faults(faults, (), {}, defaults_place=place)
    except UsageError as error:
        error.place = place
        raise


def absolute(name: str) -> str:
    """Return a path as an absolute path, so that a gate can resume in any folder.

    A name is returned unchanged.
    """
    return str(Path(name).resolve()) if is_path(name) else name
