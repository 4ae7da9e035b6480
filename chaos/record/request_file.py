"""What is wrong with a request file, told from its bytes. Pure; knows no queue and no Watcher.

Used while a stack runs and when a record is judged, so that both name a defect alike.
"""

import json

SOUND = ""


def defect(content: bytes, type_key: str = "request_type") -> str:
    """The kind of corruption in words, with the place; "" for a request that can be read.

    `type_key` is the field that says what kind of request it is; "" asks for none.
    """
    if not content:
        return "empty file (0 bytes)"
    if not content.strip(b"\0"):
        return f"nothing but NUL bytes ({len(content)})"
    if (nul := content.find(b"\0")) >= 0:
        return f"NUL bytes from byte {nul} on"
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        return f"not UTF-8 at byte {error.start}"
    if not text.strip():
        return f"nothing but white space ({len(content)} bytes)"
    try:
        entry = json.loads(text)
    except json.JSONDecodeError as error:
        torn = error.pos >= len(text.rstrip()) - 1 or "Unterminated" in error.msg
        kind = "cut off in the middle" if torn else f"not JSON ({error.msg})"
        return f"{kind} at line {error.lineno}, column {error.colno}"
    except RecursionError:
        return "not JSON: nested too deeply"
    if not isinstance(entry, dict):
        return f"wrong shape: a JSON {_shape(entry)}, not an object"
    if type_key and not isinstance(entry.get(type_key), str):
        return f"wrong shape: no text in {type_key!r}"
    return SOUND


def _shape(entry: object) -> str:
    match entry:
        case list():
            return "array"
        case str():
            return "string"
        case None | bool():
            return "literal"
    return "number"
