"""`scripts/images`: build the images under fixed names, for a start of the stack by hand.

Prints the settings for docker-compose.yml to standard output, and its progress to standard error.
Knows nothing of runs.
"""

import argparse
import platform
import shutil
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from chaos import assets
from chaos.assets import cache, progress
from chaos.base.errors import ChaosError, EnvironmentProblem
from chaos.base.shipped import INSTALLED, ROOT
from chaos.stack.docker import context, engine, images, wheels


def say(text: str) -> None:
    """One line of progress."""
    print(text, file=sys.stderr, flush=True)


def collect(variant: context.Variant, server: Path, root: Path = ROOT) -> None:
    """Fill build/ with the wheels and the Toxiproxy server for the Dockerfiles."""
    with cache.translated("fill build/"):
        target = root / context.TOXIPROXY_AT
        target.parent.mkdir(exist_ok=True)
        shutil.copy2(server, target)
        for name in context.NAMES:
            planned = context.recipe(root, name, variant, {})
            if planned.lock is None:
                continue
            folder = root / planned.wheels_at
            if folder.exists():
                shutil.rmtree(folder)
            folder.mkdir(parents=True)
            for wheel in wheels.collected(name, planned.lock, platform.machine(), say):
                shutil.copy2(wheel, folder)
    say(f"collected in {root / 'build'}")


def build(variant: context.Variant) -> dict[str, str]:
    """Build the images and tag them with their fixed names; returns name -> reference."""
    with closing(engine.connect()) as client:
        named = {}
        for name, image in images.ensure(client, variant=variant, say=say).items():
            cuda = variant == "cuda" and name in context.HAS_CUDA
            tag = "local-cuda" if cuda else "local"
            client.images.get(image.reference).tag(f"chaos-gate/{name}", tag)
            named[name] = f"chaos-gate/{name}:{tag}"
            how = f"built in {image.seconds:.0f} s" if image.built else "there already"
            say(f"image {name}: {image.reference}, {named[name]} ({how})")
        return named


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="scripts/images", description="Make the images for a start by hand."
    )
    parser.add_argument("--cuda", action="store_true", help="those for NVIDIA GPUs")
    parser.add_argument(
        "--collect", action="store_true", help="only fill build/ for `docker compose build`"
    )
    options = parser.parse_args(argv)
    if options.collect and INSTALLED:
        parser.error("--collect is for a checkout, whose build/ it fills")
    variant: context.Variant = "cuda" if options.cuda else "cpu"
    try:
        ready = assets.ensure(progress.progress_for())
        if ready.toxiproxy is None:
            raise EnvironmentProblem(
                f"there is no Toxiproxy server to make an image of: {ready.toxiproxy_reason}",
                next_step="set CHAOS_TOXIPROXY=/path/to/toxiproxy-server",
            )
        if options.collect:
            collect(variant, ready.toxiproxy)
            return 0
        named = build(variant)
    except ChaosError as error:
        print(f"scripts/images: {error}", file=sys.stderr)
        return error.exit_code
    print(f"CHAOS_TOXIPROXY_IMAGE={named['toxiproxy']}")
    if not options.cuda:  # with GPUs the user brings the model
        print(f"CHAOS_MODELS={ready.model.parent}\nCHAOS_MODEL_FILE={ready.model.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
