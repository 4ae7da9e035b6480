"""In which dispatches a child process of the Watcher ran, by what the harness sampled.

A child was alive at a sample, or it ended and was waited for between two: then the page faults of
the Watcher's ended children have risen. The second counts because short dispatches can run in step
with the sampling, so that many samples meet none of many children.
"""

from chaos.record.open_run import OpenRun

# Where page faults were not sampled: a child that lives for less than a few samples can be missed,
# all children cannot.
_SAMPLES_PER_DISPATCH = 4
# Around each dispatch: `b` is the last sample before it, `f` the first and `l` the last one in it,
# `a` the first one after it. The rise of page faults from `b` to `a` is its own only when no other
# dispatch lies in between, and the process is the same.
_SEEN = """
with samples as (
    select t_s, "watcher.pid" as pid, "watcher.children_faults" as faults,
        sum(("watcher.children" is not null)::int) over o as known,
        sum(coalesce("watcher.children" > 0, false)::int) over o as busy
    from moments window o as (order by line)
), dispatches as (
    select d.line, t.type, d.start_s, d.end_s from decisions d
    join request_types t on t.name = d.request
    where d.completed and d.start_s is not null and d.end_s is not null
), beside as (
    select d.*, b, f, l, a, p.end_s as last_end_s, n.start_s as next_start_s
    from dispatches d
    asof left join samples b on b.t_s < d.start_s
    asof left join samples f on f.t_s >= d.start_s
    asof left join samples l on l.t_s < d.end_s
    asof left join samples a on a.t_s >= d.end_s
    asof left join (select end_s from decisions where end_s is not null) p on p.end_s <= d.start_s
    asof left join (select start_s from decisions where start_s is not null) n
        on n.start_s >= d.end_s
), bounds as (
    select *, coalesce(b.t_s >= coalesce(last_end_s, b.t_s), false) as alone_before,
        coalesce(a.t_s <= coalesce(next_start_s, a.t_s), false) as alone_after
    from beside
), risen as (
    select *, if(alone_before, b, f) as low, if(alone_after, a, l) as high from bounds
), told as (
    select *, case when low.t_s < high.t_s and low.pid = high.pid and (
            high.faults > low.faults or (alone_before and alone_after))
        then high.faults - low.faults end as rise
    from risen
)
select type, count(*) filter (watched), count(*) filter (watched and ran) from (
    select type,
        rise is not null or coalesce(l.known, 0) - coalesce(b.known, 0) >= $often as watched,
        coalesce(rise > 0, false) or
            coalesce(if(rise is null, l.busy, a.busy), l.busy, 0) > coalesce(b.busy, 0) as ran
    from told
) group by type
"""


def seen_children(run: OpenRun) -> dict[str, tuple[int, int]]:
    """Type of request -> (dispatches watched, those of them in which a child ran).

    Watched is one whose rise of page faults is known from the sample before it to the one after it,
    and one that was sampled often.
    """
    rows = run.sql(_SEEN, {"often": _SAMPLES_PER_DISPATCH})
    return {kind: (watched, ran) for kind, watched, ran in rows}
