from __future__ import annotations

from tests.checks.conftest import control

__all__ = ["control"]
