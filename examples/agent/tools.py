"""The agent's loop over one task: ask, do what is asked by tool calls, ask again. Its memory.

The LLM is not trusted: a tool call must fit its schema, and after two useless answers it is over.
"""

import json
import operator

import llm

STEPS, NOTES_MAX, NOTE_CHARS = 4, 20, 80
SUMS = {"add": operator.add, "subtract": operator.sub, "multiply": operator.mul}
NUMBER, TEXT = {"type": "number"}, {"type": "string"}
PARAMETERS = {
    "calculator": {"a": NUMBER, "operation": {"enum": list(SUMS)}, "b": NUMBER},
    "note": {"text": TEXT},
}


def offer(name):
    schema = {"type": "object", "properties": PARAMETERS[name], "required": list(PARAMETERS[name])}
    return {"type": "function", "function": {"name": name, "parameters": schema}}


def use(name, arguments, notes):
    """What the tool says. ValueError for a call that does not fit its schema."""
    match name, json.loads(arguments):
        case "calculator", {"a": a, "operation": str(sign), "b": b}:
            if sign in SUMS and isinstance(a, int | float) and isinstance(b, int | float):
                return str(SUMS[sign](a, b))
        case "note", {"text": str(text)}:
            remember(text, notes)
            return "noted"
    raise ValueError(f"{name} cannot be called with {arguments:.80}")


def work(task, notes, calls):
    """(status, text) of the task; None without an LLM."""
    if not isinstance(task, str):
        raise TypeError("the task is no text")
    known = f"Notes: {notes[-1]}" if notes else "You have no notes."
    messages = [{"role": "system", "content": known}, {"role": "user", "content": task}]
    useless = 0
    for _ in range(STEPS):
        answer = llm.ask(messages, [offer(name) for name in PARAMETERS], calls)
        if answer is None:
            return None
        text, requests = answer
        try:
            if not requests and text.strip():
                remember(text, notes)
                return "ANSWERED", text
            if not requests:
                raise ValueError("it was empty")
            said = [use(one["name"], one["arguments"], notes) for one in requests]
        except (ValueError, RecursionError) as error:
            useless += 1
            if useless == 2:
                return "USELESS", f"the LLM was asked twice: {error}"
            said = [f"Your answer was of no use: {error}. Answer in words."]
        messages.append({"role": "user", "content": "\n".join(said)})
    return "USELESS", f"no answer in {STEPS} steps"


def remember(text, notes):
    notes.append(text[:NOTE_CHARS])
    del notes[:-NOTES_MAX]


def notes_in(file):
    """The notes of earlier jobs; none where the file is missing or damaged."""
    try:
        notes = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return []
    return [note for note in notes if isinstance(note, str)] if isinstance(notes, list) else []
