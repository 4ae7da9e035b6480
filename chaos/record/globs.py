"""Globs of a target as regular expressions, for queries over witnessed paths."""

import re
from collections.abc import Sequence

_PARTS = re.compile(r"\*\*/|\*|\?|\[[^]]*\]|[^*?\[]+|\[")
_WILD = {"**/": "(?:[^/]*/)*", "*": "[^/]*", "?": "[^/]"}


def regex_of(*patterns: str) -> str:
    """A regular expression (RE2) for the paths that any of the globs selects.

    As elsewhere, a hidden file is selected by none. Without a pattern nothing is selected.
    """
    return "|".join(f"(?:{_regex(_PARTS.findall(pattern))})" for pattern in patterns) or "[^\\s\\S]"


def _regex(parts: Sequence[str]) -> str:
    found = ""
    for part in parts:
        if part in ("*", "?") and (not found or found.endswith("/")):
            found += "[^/.]" + ("[^/]*" if part == "*" else "")
        elif part in _WILD:
            found += _WILD[part]
        elif part.startswith("[") and part.endswith("]"):
            found += f"[^{part[2:]}" if part.startswith("[!") else part
        else:
            found += re.escape(part)
    return found
