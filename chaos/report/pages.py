"""Builds self-contained pages: templates, inline scripts and data, and a policy by their hashes.

Every page is one file that makes no request. Its content security policy allows exactly the style
and the script that stand in it, by SHA-256. All foreign text is escaped: by the template engine in
markup, and by `json_data` in the data of a script. Must not know what a page shows.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from chaos.base.printable import bounded, printable, value_text
from chaos.base.units import duration_text
from chaos.report.words import GLYPHS, measured_text, seconds_text

HERE = Path(__file__).parent
UPLOT = "vendor/uPlot.iife.min.js"
_CELL_MAX = 2000


def engine(package: str = "chaos.report") -> Environment:
    """The template engine over the templates of `package` and those of every page."""
    names = dict.fromkeys((package, "chaos.report"))
    made = Environment(
        loader=ChoiceLoader([PackageLoader(name, "") for name in names]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    made.filters["value"] = value_text
    made.filters["seconds"] = seconds_text
    made.filters["measured"] = measured_text
    made.filters["duration"] = duration_text
    made.filters["sentence"] = sentence
    made.globals["glyphs"] = GLYPHS
    return made


def page_text(
    template: str,
    *,
    package: str = "chaos.report",
    style: str,
    scripts: Sequence[str] = ("page.js",),
    **values: Any,
) -> str:
    """Render `template`, with the style sheet and the scripts inside of it.

    `style` is a template; `scripts` are files beside this module. The template puts `style`,
    `script` and `policy` where they belong.
    """
    made = engine(package)
    css = made.get_template(style).render().strip()
    script = "\n".join(vendored(name).strip() for name in scripts)
    for text, end in ((css, "</style"), (script, "</script")):
        assert end not in text.lower(), end
        assert "\r" not in text, "the hash of a page's text is that of its lines"
    policy = (
        f"default-src 'none'; style-src {source_hash(css)}; script-src {source_hash(script)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    return made.get_template(template).render(
        style=Markup(css), script=Markup(script), policy=policy, **values
    )


@cache
def vendored(name: str) -> str:
    """The text of a script or style sheet that lies beside this module."""
    return (HERE / name).read_text(encoding="utf-8")


def source_hash(text: str) -> str:
    """The source expression by which a content security policy allows an inline text."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def json_data(content: Any) -> Markup:
    """`content` as JSON for a `<script type="application/json">`; nothing in it can end that."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)  # ASCII only
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def sentence(text: str) -> str:
    """`text` with a capital letter and one full stop."""
    text = text.strip()
    return f"{text[:1].upper()}{text[1:].rstrip('.')}." if text else ""


def _shown(value: Any) -> Any:
    """A value of the template as printable text of bounded length; "" for None."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return bounded(printable(value), _CELL_MAX)
    return "" if value is None else value
