"""Merged tickets: each has a master that works for it and whose answer is its own; hot events have one master each."""

from reconcile.check.finding import Check

# Who is merged into whom now, and by versions of what dispatch says of a ticket how its last round stands.
NOW = """
    WITH last AS (
        SELECT ticket, coalesce(max(version) FILTER (WHERE type = :TicketAnswered), 0) AS answered,
            coalesce(max(version) FILTER (WHERE type = :TicketReopened), 0) AS reopened,
            coalesce(max(version) FILTER (WHERE type = :TicketClosed), 0) AS closed FROM said
        WHERE type IN (:TicketAnswered, :TicketReopened, :TicketClosed)
            AND ticket IN (SELECT ticket FROM membership UNION SELECT master FROM membership) GROUP BY ticket),
    round AS (
        SELECT m.ticket, m.master, m.since, coalesce(o.answered, 0) AS answered, coalesce(o.reopened, 0) AS reopened,
            coalesce(o.closed, 0) > coalesce(o.reopened, 0) AS closed,
            coalesce(w.answered, 0) AS masters_answer, coalesce(w.reopened, 0) AS masters_reopening
        FROM membership m LEFT JOIN last o ON o.ticket = m.ticket LEFT JOIN last w ON w.ticket = m.master
        WHERE m.until IS NULL)"""
INTO = "'it is merged into ' || uuid({0}master)"

CHECKS = (
    Check(
        "each merged ticket has a known master that is no member itself, and what the master has it has: its answer, "
        "its reopening, no work and no clock of its own",
        f"""{NOW}
        SELECT m.ticket, {INTO.format("m.")} || ', which intake does not hold' FROM membership m
        WHERE :windowless AND NOT EXISTS (SELECT 1 FROM ticket t WHERE t.ticket = m.master)
        UNION ALL
        SELECT m.ticket, {INTO.format("m.")} || ', which is a member itself' FROM membership m
        WHERE m.until IS NULL
            AND EXISTS (SELECT 1 FROM membership n WHERE n.ticket = m.master AND n.until IS NULL)
        UNION ALL
        SELECT m.ticket, {INTO.format("m.")} || ' ' || count(*) || ' times; MasterJoined names it there '
            || (SELECT count(*) FROM said s WHERE s.type = :MasterJoined AND s.ticket = m.master
                AND s.subject = m.ticket) || ' times'
        FROM membership m JOIN ticket t ON t.ticket = m.master GROUP BY m.ticket, m.master
        HAVING count(*) <> (SELECT count(*) FROM said s WHERE s.type = :MasterJoined AND s.ticket = m.master
            AND s.subject = m.ticket)
        UNION ALL
        SELECT s.ticket, uuid(s.subject) || ' joined it by MasterJoined and was not merged into it' FROM said s
        JOIN ticket t ON t.ticket = s.subject WHERE s.type = :MasterJoined
            AND NOT EXISTS (SELECT 1 FROM membership m WHERE m.ticket = s.subject AND m.master = s.ticket)
        UNION ALL
        SELECT ticket, {INTO.format("")} || ', which is answered; it is not' FROM round
        WHERE masters_answer > masters_reopening AND answered <= reopened AND NOT closed
            AND master NOT IN (SELECT ticket FROM moving)
        UNION ALL
        SELECT ticket, {INTO.format("")} || ', which was reopened; it was not' FROM round
        WHERE masters_reopening > masters_answer AND answered > reopened AND answered > since AND NOT closed
            AND master NOT IN (SELECT ticket FROM moving)
        UNION ALL
        SELECT s.ticket, 'it was answered with work order ' || uuid(s.subject)
            || ', which is neither its own nor its master''s'
        FROM said s WHERE s.type = :TicketAnswered AND s.subject IS NOT NULL
            AND NOT EXISTS (SELECT 1 FROM work_order o WHERE o.id = s.subject AND o.ticket = s.ticket)
            AND NOT EXISTS (SELECT 1 FROM membership m WHERE m.ticket = s.ticket AND m.since < s.version
                AND s.version < coalesce(m.until, s.version + 1) AND (
                    EXISTS (SELECT 1 FROM said a WHERE a.type = :WorkOrderAnswered AND a.ticket = m.master
                        AND a.subject = s.subject)
                    OR NOT EXISTS (SELECT 1 FROM ticket t WHERE t.ticket = m.master)))
        UNION ALL
        SELECT m.ticket, {INTO.format("m.")} || '; its own work order ' || uuid(o.id) || ' is ' || o.state
        FROM membership m JOIN work_order o ON o.ticket = m.ticket
        WHERE m.until IS NULL AND o.state NOT IN ('answered', 'closed', 'reassigned', 'cancelled')
        UNION ALL
        SELECT m.ticket, {INTO.format("m.")} || '; its own clock ' || uuid(c.id) || ' (' || c.kind || ') runs'
        FROM clock c JOIN membership m ON m.ticket = c.ticket WHERE c.state = 'running' AND m.until IS NULL
        UNION ALL
        SELECT r.ticket, {INTO.format("r.")} || '; intake has it in stage ' || t.stage || ', merged into '
            || coalesce(uuid(t.master), 'nothing')
        FROM round r JOIN ticket t ON t.ticket = r.ticket
        WHERE t.stage <> 'closed' AND (t.master IS NOT r.master OR (r.answered <= r.reopened AND t.stage <> 'merged'))
        UNION ALL
        SELECT t.ticket, 'intake has it in stage merged; it is merged into nothing' FROM ticket t
        WHERE t.stage = 'merged' AND NOT EXISTS (
            SELECT 1 FROM membership m WHERE m.ticket = t.ticket AND m.until IS NULL)""",
    ),
    Check(
        "every folded hot event has one master, and every such master its event; a dissolved one works for nobody",
        """SELECT t.ticket, 'intake holds it as the master of the hot event ' || uuid(t.event)
            || ', which is not its own id, or was never folded'
        FROM ticket t WHERE t.event IS NOT NULL AND (t.event <> t.ticket OR NOT EXISTS (SELECT 1 FROM said s
            WHERE s.type IN (:HotEventFolded, :HotEventDissolved, :HotEventClosed) AND s.ticket = t.event))
        UNION ALL
        SELECT s.ticket, 'a hot event was folded; intake holds no master of it' FROM said s
        WHERE s.type = :HotEventFolded AND NOT EXISTS (SELECT 1 FROM ticket t WHERE t.event = s.ticket)
        UNION ALL
        SELECT s.ticket, uuid(s.subject) || ' is said ' || CASE WHEN s.more THEN 'to be' ELSE 'not to be' END
            || ' the master of a hot event; intake says otherwise'
        FROM said s JOIN ticket t ON t.ticket = s.subject
        WHERE s.type = :TicketMerged AND s.more <> (t.event IS NOT NULL)
        UNION ALL
        SELECT s.ticket, 'its hot event was dissolved; dispatch has it as ' || d.state
        FROM said s JOIN dispatched d ON d.ticket = s.ticket
        WHERE s.type = :HotEventDissolved AND d.state <> 'closed'
        UNION ALL
        SELECT m.ticket, 'it is merged into ' || uuid(m.master) || ', whose hot event was dissolved'
        FROM membership m JOIN said s ON s.type = :HotEventDissolved AND s.ticket = m.master
            JOIN dispatched d ON d.ticket = m.ticket
        WHERE m.until IS NULL AND d.state <> 'closed'""",
    ),
)
