"""Hooks of mkdocs: the documents beside docs/, and links that lead out of the site.

README, SECURITY, CONTRIBUTING and CHANGELOG are pages, too. A link to a page leads there, whatever
folder it is written for. A link to another file of the repository becomes its name; one that leads
nowhere fails the build.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
_DOCS = "docs"
# Page -> its source in the repository, for those that are not in docs/.
BESIDE = {
    "index.md": "README.md",
    "security.md": "SECURITY.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
}
_LINK = re.compile(r"(?<!!)\[([^\]\n]+)\]\(([^)\s]+)\)")
_PICTURE = re.compile(r'(src(?:set)?=")docs/')  # of a page beside docs/
_FENCE = re.compile(r"(?ms)^(```.*?^```[^\n]*$)")


def on_files(files: Files, config: Any) -> Files:
    """Add the documents beside docs/."""
    for page, source in BESIDE.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Page, files: Files, **_: Any) -> str:
    """Lead every link to a page of the site, or name the file that it leads to."""
    uri = page.file.src_uri
    source = BESIDE.get(uri, f"{_DOCS}/{uri}")
    parts = _FENCE.split(markdown)  # every second one is a block of code
    for index in range(0, len(parts), 2):
        part = _LINK.sub(lambda link: _resolved(link, source, uri, files), parts[index])
        parts[index] = _PICTURE.sub(r"\1", part) if uri in BESIDE else part
    return "".join(parts)


def _resolved(link: re.Match[str], source: str, uri: str, files: Files) -> str:
    text, target = link.groups()
    path, sign, anchor = target.partition("#")
    if not path or "://" in target or target.startswith("mailto:"):
        return link[0]
    inside = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
    if not (ROOT / inside).exists():
        raise PluginError(f"{source}: the link to {target} leads nowhere")
    beside = {name: page for page, name in BESIDE.items()}
    page = beside.get(inside, inside.removeprefix(f"{_DOCS}/"))
    if inside in beside or (inside.startswith(f"{_DOCS}/") and files.get_file_from_path(page)):
        return f"[{text}]({posixpath.relpath(page, posixpath.dirname(uri) or '.')}{sign}{anchor})"
    name = f"`{inside}`"
    return name if text.strip("`/") in inside else f"{text} ({name})"
