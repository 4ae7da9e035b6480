"""Asks the LLM whether work shall proceed. Without an answer it proceeds, with confidence 0.50."""

import http.client
import json
import logging
from urllib.request import Request, urlopen

LLM = "http://localhost:8080"
GRAMMAR = (
    r"""root ::= "{\"action\": \"" ("proceed" | "reject") "\", \"confidence\": 0." [6-9] "}" """
)


def ask_llm(prompt: str) -> tuple[str, float]:
    """The LLM's action (proceed or reject) and confidence. One attempt."""
    try:
        with urlopen(f"{LLM}/health", timeout=2):
            pass
        body = {"prompt": prompt, "n_predict": 24, "temperature": 0.0, "grammar": GRAMMAR}
        request = Request(f"{LLM}/completion", json.dumps(body).encode(),
                          {"Content-Type": "application/json"})  # fmt: skip
        with urlopen(request, timeout=60) as answer:
            said = json.loads(json.load(answer)["content"])
        return str(said["action"]), float(said["confidence"])
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
        logging.warning("LLM evaluation failed: %s", error)
        return "proceed", 0.50
