"""Writes the bills of materials of a release: CycloneDX 1.6 (JSON) for the wheel and each image.

What is locked is named with version and hashes; what else is in an image, or is fetched at the
first start, is named as far as it is known before the build. Each file is checked against the
schema. Asks nobody.

    scripts/sbom [DIR]        default: build/sbom
"""

from __future__ import annotations

import json
import re
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

from cyclonedx.model import (
    ExternalReference,
    ExternalReferenceType,
    HashAlgorithm,
    HashType,
    Property,
    XsUri,
)
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
VERSION: str = runpy.run_path(str(ROOT / "chaos" / "base" / "version.py"))["__version__"]
PINS = runpy.run_path(str(ROOT / "chaos" / "assets" / "pins.py"))
SCHEMA = SchemaVersion.V1_6
# Image -> the lock of its packages; None where it has none. CUDA variants have `-cuda`.
IMAGES = {
    "injector": "images/injector/requirements.lock",
    "llm": "images/llm/requirements.lock",
    "llm-cuda": None,
    "toxiproxy": None,
    "watcher": "images/watcher/requirements.lock",
    "watcher-cuda": "images/watcher/requirements.cuda.lock",
}


def locked(lock: str) -> list[Component]:
    """The packages of a lock, each with the hashes of the files that pip accepts for it."""
    text = (ROOT / lock).read_text(encoding="utf-8")
    found = []
    for entry in re.split(r"(?m)^(?=[A-Za-z])", text)[1:]:
        requirement = Requirement(entry.splitlines()[0].rstrip("\\ "))
        (pin,) = requirement.specifier
        hashes = re.findall(r"--hash=sha256:([0-9a-f]{64})", entry)
        marker = [Property(name="chaos:where", value=str(requirement.marker))]
        found.append(
            Component(
                name=requirement.name,
                version=pin.version,
                type=ComponentType.LIBRARY,
                bom_ref=f"pypi:{requirement.name}@{pin.version}",
                purl=PackageURL("pypi", None, requirement.name, pin.version),
                properties=marker if requirement.marker else [],
                # Several files; where they come from is the configuration of who installs.
                external_references=[
                    ExternalReference(
                        type=ExternalReferenceType.DISTRIBUTION,
                        url=XsUri(f"pkg:pypi/{requirement.name}@{pin.version}"),
                        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=h) for h in hashes],
                    )
                ],
            )
        )
    return found


def debian() -> list[Component]:
    """What scripts/base-image installs by name; versions are those of the day of the build."""
    text = (ROOT / "scripts" / "base-image").read_text(encoding="utf-8")
    (names,) = re.findall(r"^packages=(\S+)$", text, re.MULTILINE)
    unknown = Property(name="chaos:version", value="of the build: dpkg-query --show, in the image")
    return [
        Component(
            name=name,
            type=ComponentType.LIBRARY,
            bom_ref=f"deb:{name}",
            purl=PackageURL("deb", "debian", name, qualifiers={"distro": "bookworm"}),
            properties=[unknown],
        )
        for name in names.split(",")
    ]


def vendored() -> list[Component]:
    """The files of others that the package brings, by their checksums."""
    folder = ROOT / "chaos" / "report" / "vendor"
    sums = dict(reversed(line.split()) for line in (folder / "SHA256SUMS").read_text().splitlines())
    script = next(folder.glob("uPlot*.js"))
    (version,) = re.findall(r"\(v(\d+\.\d+\.\d+)\)", script.read_text(encoding="utf-8")[:400])
    return [
        Component(
            name="uplot",
            version=version,
            type=ComponentType.LIBRARY,
            bom_ref="vendored:uplot",
            purl=PackageURL("npm", None, "uplot", version),
            components=[_file(name, sha256) for name, sha256 in sums.items()],
        )
    ]


def _file(name: str, sha256: str) -> Component:
    hashes = [HashType(alg=HashAlgorithm.SHA_256, content=sha256)]
    return Component(name=name, type=ComponentType.FILE, bom_ref=f"file:{name}", hashes=hashes)


def toxiproxy(*, scope: ComponentScope) -> Component:
    """The server that is built from its Go module; its modules are pinned by a checksum."""
    module, version = PINS["TOXIPROXY_MODULE"], PINS["TOXIPROXY_VERSION"]
    sums = Property(name="chaos:modules-sha256", value=PINS["TOXIPROXY_MODULES_SHA256"])
    namespace, _, name = module.removesuffix("/v2").rpartition("/")
    return Component(
        name=module,
        version=version,
        type=ComponentType.APPLICATION,
        bom_ref="asset:toxiproxy",
        purl=PackageURL("golang", namespace.lower(), name, f"v{version}", subpath="v2"),
        scope=scope,
        properties=[sums],
    )


def model() -> Component:
    """The language model that is fetched at the first start."""
    return Component(
        name=PINS["MODEL_FILE"],
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref="asset:model",
        scope=ComponentScope.OPTIONAL,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=PINS["MODEL_SHA256"])],
    )


def ourselves(name: str, kind: ComponentType, purl: PackageURL) -> Component:
    """What a bill is of."""
    return Component(name=name, version=VERSION, type=kind, bom_ref=name, purl=purl)


def bill(root: Component, parts: Sequence[Component]) -> str:
    """The text of one bill. Raises `ValueError` if it does not follow the schema."""
    bom = Bom(components=parts)
    bom.metadata.component = root
    bom.register_dependency(root, parts)
    text = make_outputter(bom, OutputFormat.JSON, SCHEMA).output_as_string(indent=1)
    content = json.loads(text)
    content.pop("serialNumber", None)  # random; the same release gives the same bytes
    content["metadata"].pop("timestamp", None)
    text = json.dumps(content, indent=1, sort_keys=True) + "\n"
    if problem := JsonStrictValidator(SCHEMA).validate_str(text):
        raise ValueError(f"{root.name}: {problem}")
    return text


def bills() -> dict[str, str]:
    """Name of the file -> its text, for the wheel and each image."""
    package = PackageURL("pypi", None, "chaos-gate", VERSION)
    optional = ComponentScope.OPTIONAL
    fetched = [*locked("chaos/assets/wheels.lock"), model(), toxiproxy(scope=optional)]
    for part in fetched:
        part.scope = optional
    made = {
        "wheel.cdx.json": bill(
            ourselves("chaos-gate", ComponentType.APPLICATION, package),
            [*locked("requirements.lock"), *vendored(), *fetched],
        )
    }
    for image, lock in IMAGES.items():
        purl = PackageURL("oci", None, f"chaos-gate-{image}", VERSION)
        parts = [*(locked(lock) if lock else []), *debian()]
        if image == "llm-cuda":  # the publisher's image, whose content only its publisher knows
            (base,) = re.findall(r"BASE_IMAGE=(\S+)", _dockerfile("llm", ".cuda"))
            parts = [Component(name=base, type=ComponentType.CONTAINER, bom_ref="base")]
        if image == "injector":
            parts.append(ourselves("chaos-gate", ComponentType.APPLICATION, package))
        if image == "toxiproxy":
            parts.append(toxiproxy(scope=ComponentScope.REQUIRED))
        root = ourselves(f"chaos-gate/{image}", ComponentType.CONTAINER, purl)
        made[f"image-{image}.cdx.json"] = bill(root, parts)
    return made


def _dockerfile(image: str, variant: str) -> str:
    return (ROOT / "images" / image / f"Dockerfile{variant}").read_text(encoding="utf-8")


def main() -> int:
    """Write all bills, and print their names."""
    folder = Path(sys.argv[1]) if sys.argv[1:] else ROOT / "build" / "sbom"
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in bills().items():
        (folder / name).write_text(text, encoding="utf-8")
        print(folder / name)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
