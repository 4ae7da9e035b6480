"""What a gate consists of, from `experiments/gate.yaml`; errors name file, line and key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec

from chaos.experiment import Seconds
from chaos.resolve import EXPERIMENTS, GATE, is_path
from chaos.yamlfile import load

Names = Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]


class _Model(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    pass


class GateProfile(_Model, frozen=True):
    """One scale: the pause after each run, and changes to settings of single soaks."""

    cooldown_s: Seconds
    set: dict[str, dict[str, Any]] = {}


class GateSettings(_Model, frozen=True):
    """The soaks in their order (all of them are needed for a verdict), and the faults."""

    soaks: Names
    faults: Names
    default_profile: str
    profiles: dict[str, GateProfile]


def default_path() -> Path:
    """The gate file that is used unless another is named."""
    return EXPERIMENTS / f"{GATE}.yaml"


def read_settings(path: Path) -> GateSettings:
    """The gate file; `UsageError` for anything wrong in it. Paths of soaks become absolute."""
    settings = load(path, GateSettings)
    profiles = {
        name: msgspec.structs.replace(
            profile, set={absolute(soak): changes for soak, changes in profile.set.items()}
        )
        for name, profile in settings.profiles.items()
    }
    soaks = tuple(absolute(soak) for soak in settings.soaks)
    return msgspec.structs.replace(settings, soaks=soaks, profiles=profiles)


def absolute(name: str) -> str:
    """A path as an absolute one, so that a gate can go on in any folder; a name as it is."""
    return str(Path(name).resolve()) if is_path(name) else name
