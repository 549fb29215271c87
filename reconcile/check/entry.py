"""What was offered against what intake holds: accepted is exactly one ticket, anything else none, or at most one."""

from libs.shared.events import INBOUND
from reconcile.check.finding import Check

# What became of each offer: taken (answered 2xx, or published and not refused), refused, or nobody knows. What was
# offered too lately to be judged, once or again, is left out.
FATE = """
    WITH fate AS (
        SELECT o.ledger, o.id, o.reference, o.expect, o.ticket, o.partition, o.place, CASE
            WHEN o.status BETWEEN 200 AND 299 THEN 'taken'
            WHEN o.status BETWEEN 400 AND 499 AND o.status NOT IN (401, 403, 408, 409, 429) THEN 'refused'
            WHEN o.status = 409 THEN 'conflict'
            WHEN r.place IS NOT NULL THEN 'refused'
            WHEN o.place IS NOT NULL THEN 'taken' ELSE 'unknown' END AS outcome
        FROM offer o LEFT JOIN refused r ON r.partition = o.partition AND r.place = o.place
        WHERE :settle = 0 OR o.reference NOT IN (SELECT reference FROM offer WHERE at > :now - :settle))"""
RECORD = "'record ' || {0}partition || ':' || {0}place || ' (' || coalesce({0}reference, '') || ')'"

CHECKS = (
    Check(
        "what was accepted is exactly one ticket",
        f"""{FATE}
        SELECT min(f.ticket), 'offer ' || f.id || ' (' || f.reference || ') was accepted; intake holds '
            || (SELECT count(*) FROM ticket t WHERE t.reference = f.reference) || ' such tickets'
        FROM fate f WHERE f.outcome = 'taken' AND f.reference <> ''
            AND (SELECT count(*) FROM ticket t WHERE t.reference = f.reference) <> 1
        GROUP BY f.reference""",
    ),
    Check(
        "every answer names the ticket that stands in intake",
        """SELECT o.ticket, 'offer ' || o.id || ' (' || o.reference || ') was answered as ticket ' || uuid(o.ticket)
            || '; intake holds it as ' || coalesce(t.reference, 'nothing')
        FROM offer o LEFT JOIN ticket t ON t.ticket = o.ticket
        WHERE o.status BETWEEN 200 AND 299 AND o.ticket IS NOT NULL AND t.reference IS NOT o.reference""",
    ),
    Check(
        "what was not accepted is no ticket, or one where nobody knows; never two",
        f"""{FATE},
        outcome AS (
            SELECT reference, sum(outcome = 'unknown') AS unknown FROM fate WHERE reference <> '' GROUP BY reference
            HAVING sum(outcome IN ('taken', 'conflict')) = 0)
        SELECT max(t.ticket), 'nothing under ' || o.reference || ' was accepted; intake holds ' || count(*)
            || ' such tickets'
        FROM outcome o JOIN ticket t ON t.reference = o.reference GROUP BY o.reference HAVING count(*) > (o.unknown > 0)
        UNION ALL
        SELECT max(ticket), 'intake holds ' || count(*) || ' tickets under ' || reference
        FROM ticket GROUP BY reference HAVING count(*) > 1""",
    ),
    Check(
        "every reference leads to its ticket",
        """SELECT t.ticket, 'intake holds it as ' || t.reference || ', and no reference leads to it' FROM ticket t
        WHERE NOT EXISTS (SELECT 1 FROM signpost s WHERE s.ticket = t.ticket AND s.reference = t.reference)
        UNION ALL
        SELECT s.ticket, s.reference || ' leads to it, and intake does not hold it' FROM signpost s
        WHERE NOT EXISTS (SELECT 1 FROM ticket t WHERE t.ticket = s.ticket)""",
    ),
    Check(
        "no ticket stands in intake that nobody offered, but parts of split ones and what Zhida makes itself",
        """SELECT t.ticket, 'intake holds ' || t.reference || ', which nobody offered' FROM ticket t
        WHERE :whole AND t.whole IS NULL AND t.event IS NULL
            AND replace(t.reference, '-', '') <> 'proactive|cumulative' || lower(hex(t.ticket))
            AND NOT EXISTS (SELECT 1 FROM offer o WHERE o.reference = t.reference)""",
    ),
    Check(
        "the inbound topic holds what was published, and nothing that nobody offered",
        f"""SELECT o.ticket, {RECORD.format("o.")} || ' is not on the inbound topic' FROM offer o
        WHERE o.place >= (SELECT l.start FROM log l WHERE topic(l.topic) = '{INBOUND}' AND l.partition = o.partition)
            AND NOT EXISTS (SELECT 1 FROM inbound i WHERE i.partition = o.partition AND i.place = o.place)
        UNION ALL
        SELECT NULL, 'record ' || i.partition || ':' || i.place || ' of the inbound topic was not offered'
        FROM inbound i WHERE :whole AND :settle = 0 AND i.inside
            AND NOT EXISTS (SELECT 1 FROM offer o WHERE o.reference = i.key)
            AND NOT EXISTS (SELECT 1 FROM planted p WHERE topic(p.topic) = '{INBOUND}'
                AND p.partition = i.partition AND p.place = i.place)""",
    ),
    Check(
        "what cannot be a ticket is refused, and nothing else is",
        f"""{FATE}
        SELECT ticket, 'offer ' || id || ' (' || reference || ') had to be refused and was not' FROM fate
        WHERE expect = 'refused' AND outcome = 'taken'
        UNION ALL
        SELECT ticket, 'offer ' || id || ' (' || reference || ') is a good one and was refused' FROM fate
        WHERE expect = 'ticket' AND outcome IN ('refused', 'conflict')""",
    ),
    Check(
        "every refused record is answered once on the rejected topic",
        """WITH place AS (
            SELECT partition, place, 1 AS held, 0 AS said FROM refused UNION ALL
            SELECT detail, more, 0, 1 FROM said WHERE type = :TicketRejected AND line = 0),
        sum AS (SELECT partition, place, sum(held) AS held, sum(said) AS said FROM place GROUP BY partition, place)
        SELECT NULL, 'record ' || s.partition || ':' || s.place || ' was recorded as refused ' || s.held
            || ' times, answered ' || s.said
        FROM sum s WHERE :windowless AND (s.held <> 1 OR s.said <> 1)""",
    ),
    Check(
        "every ticket in intake is announced once",
        """SELECT t.ticket, 'TicketReceived stands on the flow '
            || (SELECT count(*) FROM said s WHERE s.type = :TicketReceived AND s.ticket = t.ticket) || ' times'
        FROM ticket t WHERE (SELECT count(*) FROM said s WHERE s.type = :TicketReceived AND s.ticket = t.ticket) <> 1
        UNION ALL
        SELECT s.ticket, 'TicketReceived is on the flow, but intake holds no such ticket' FROM said s
        WHERE s.type = :TicketReceived AND NOT EXISTS (SELECT 1 FROM ticket t WHERE t.ticket = s.ticket)""",
    ),
)
