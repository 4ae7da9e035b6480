"""Work completed: every dispatch ended well, unless a fault explains why it did not.

A refusal is an end, too, but a daemon that only refuses has completed nothing.
"""

from chaos.checks.base import Check, depends_on

# A fault explains what overlaps its window, and whatever it put into the queue itself.
CHECK = Check(
    name="work_completed",
    says=("decisions.request", "decisions.status"),
    title="Work completed",
    sql="""
        select decision_ref(line) as ref, coalesce(request, 'a request') || ': ' || dispatch
            || ' ended ' || coalesce(status, 'without a status') as text
        from decisions d where dispatch is not null and not completed
        and not (refused and exists (select 1 from decisions where completed))
        and not exists (select 1 from faults f where f.injected_s is not null
            and coalesce(d.start_s, d.end_s, f.injected_s) <= f.until_s
            and coalesce(d.end_s, f.until_s) >= f.earliest_s)
        and coalesce(request, '') not in (select name from planted)
        order by line
    """,
    facts="""
        select count(*) filter (completed) as done, count(*) filter (refused) as refused,
            count(*) filter (not completed and not refused) as not_done
        from decisions where dispatch is not null
    """,
    passed="{done} dispatches completed, {refused} were refused, {not_done} did not complete, each "
    "of those beside a fault",
    failed="{wrong} dispatches that did not complete are explained by no fault",
    depends=depends_on("files", "end", "stack"),
    always=True,
)
