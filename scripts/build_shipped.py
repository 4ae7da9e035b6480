"""The step of a build that copies the shipped files (chaos/base/shipped.py) into the package.

setuptools calls it for each wheel and sdist: see `tool.setuptools.cmdclass` in pyproject.toml. An
editable installation uses the files of the checkout, so there it does nothing.
"""

import runpy
import shutil
from pathlib import Path

from setuptools import Command
from setuptools.command import build

_CHECKOUT = Path(__file__).resolve().parents[1]
_THIS = "scripts/build_shipped.py"


class Build(build.build):
    """`build`, with one more step."""

    sub_commands = [*build.build.sub_commands, ("build_shipped", None)]  # noqa: RUF012


class BuildShipped(Command):
    """Follows the protocol `setuptools.command.build.SubCommand`."""

    user_options = []  # noqa: RUF012

    def initialize_options(self) -> None:
        """Declare what `finalize_options` sets."""
        self.build_lib = ""
        self.editable_mode = False  # set by setuptools

    def finalize_options(self) -> None:
        """Find the folder that becomes the wheel, and the shipped files."""
        self.build_lib = self.get_finalized_command("build").build_lib
        shipped = runpy.run_path(str(_CHECKOUT / "chaos" / "base" / "shipped.py"))
        self._target = Path(self.build_lib) / "chaos" / shipped["FOLDER"]
        self._files: dict[str, Path] = {}
        for name in shipped["NAMES"]:
            self._files |= shipped["files_of"](_CHECKOUT, name)

    def run(self) -> None:
        """Copy the files. Removes those of an earlier build, which may be in the folder."""
        if self.editable_mode:
            return
        shutil.rmtree(self._target, ignore_errors=True)
        for name, path in self._files.items():
            to = self._target / name
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, to)  # keeps the execute bit

    def get_source_files(self) -> list[str]:
        """The files that an sdist needs for this step."""
        return [*self._files, _THIS]

    def get_outputs(self) -> list[str]:
        """The files that `run` makes."""
        return [] if self.editable_mode else [str(self._target / name) for name in self._files]

    def get_output_mapping(self) -> dict[str, str]:
        """Output -> source, for editable installations that link each file. There is none."""
        return {}
