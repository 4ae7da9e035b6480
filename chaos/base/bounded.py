"""Numbers with bounds, for structs that are read from files."""

from typing import Annotated

import msgspec

from chaos.base.units import LENGTH_MAX_S

PositiveSeconds = Annotated[float, msgspec.Meta(gt=0, le=LENGTH_MAX_S)]
