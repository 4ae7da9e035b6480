"""What a run saw of its daemon's LLM: where its server came from, and the daemon's calls."""

from chaos.record.target import Target
from chaos.runner.api import Run

_STARTS = "select count(*) filter (event = 'start') from servers"
_CALLS = """
select count(*), count(*) filter (ended = 'answered' and status < 400)
from wire where link = '{}' and not harness
"""
_NOT_WITNESSED = """
select detail ->> '$.reason' from events
where name = 'not_witnessed' and detail ->> '$.witness' = 'wire' limit 1
"""


def llm_seen(run: Run, target: Target) -> list[str]:
    """In words, a line each."""
    llm = target.llm
    origin = "the embedded server" if llm.server is None else "started by llm.server.command"
    origin = "started by the daemon" if llm.adopted else origin
    starts = f": {run.sql(_STARTS)[0][0]} starts seen"
    if llm.external:
        origin, starts = f"{llm.external}, not of the run, by a relay", ""
    links = [
        f"link {name} through {link.endpoint}: {_calls(run, name)}"
        for name, link in target.links.items()
    ]
    return [
        f"{origin}, at {llm.upstream}{starts}",
        f"link llm through {llm.endpoint}: {_calls(run, 'llm')}",
        *links,
    ]


def _calls(run: Run, link: str) -> str:
    unseen = run.sql(_NOT_WITNESSED)
    if unseen:
        return f"not seen, {unseen[0][0]}"
    calls, answered = run.sql(_CALLS.format(link))[0]
    if not calls:
        return "none seen; does it connect to another address?"
    return f"{calls} seen, {answered} answered"
