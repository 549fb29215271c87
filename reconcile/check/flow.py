"""The topics: gapless versions in order, no event with two bodies, no effect before its cause, one classification."""

from reconcile.book import TYPE_CODES
from reconcile.check.finding import Check

# Effect ← causes, and what the two must have in common: the ticket, the effect's subject, or what its `more` names.
CAUSES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("TicketAmended", "ticket", ("TicketReceived",)),
    ("ReviewRequested", "ticket", ("TicketReceived",)),
    ("TicketSplit", "ticket", ("ReviewRequested",)),
    ("TicketClassified", "ticket", ("TicketReceived",)),
    ("WorkOrderAssigned", "ticket", ("TicketClassified",)),
    ("WorkOrderAssigned", "more", ("ReturnRuled", "WorkOrderCancelled")),
    ("WorkOrderDelivered", "subject", ("WorkOrderAssigned",)),
    ("DeliveryFailed", "subject", ("WorkOrderAssigned",)),
    ("EvidenceAdded", "subject", ("WorkOrderAssigned",)),
    ("WorkOrderCancelled", "subject", ("WorkOrderAssigned",)),
    ("WorkOrderAccepted", "subject", ("WorkOrderAssigned",)),
    ("WorkOrderReturned", "subject", ("WorkOrderAssigned",)),
    ("WorkOrderContacted", "subject", ("WorkOrderAccepted",)),
    ("WorkOrderAnswered", "subject", ("WorkOrderAccepted",)),
    ("ReturnRuled", "subject", ("WorkOrderReturned",)),
    ("QuestionAsked", "subject", ("WorkOrderAssigned",)),
    ("QuestionAnswered", "subject", ("QuestionAsked",)),
    ("TicketAnswered", "subject", ("WorkOrderAnswered",)),
    ("TicketClosed", "ticket", ("TicketClassified",)),
    ("TicketReopened", "ticket", ("TicketAnswered", "TicketClosed")),
    ("TicketMerged", "ticket", ("TicketClassified",)),
    ("TicketReleased", "subject", ("TicketMerged",)),
    ("ClocksStopped", "subject", ("ClocksStarted",)),
    ("ClockWarned", "subject", ("ClocksStarted",)),
    ("ClockBreached", "subject", ("ClocksStarted",)),
    ("Escalated", "subject", ("ClocksStarted",)),
)


# A member has its master's answer; `master` judges whether it is that.
MASTERS = """AND NOT (EXISTS (SELECT 1 FROM membership m WHERE m.ticket = e.ticket AND m.since < e.version
        AND e.version < coalesce(m.until, e.version + 1))
    AND NOT EXISTS (SELECT 1 FROM work_order o WHERE o.id = e.subject AND o.ticket = e.ticket))"""


def _before(effect: str, common: str, causes: tuple[str, ...]) -> str:
    """Effects of one kind that lie before what caused them."""
    match common:
        case "subject":
            same, asked = "AND c.subject = e.subject", "AND e.subject IS NOT NULL"
            asked += f" {MASTERS}" if effect == "TicketAnswered" else ""
        case "more":
            same, asked = "AND c.subject = e.more", "AND e.more IS NOT NULL"
        case _:
            same, asked = "", "AND e.line = 0"
    found = " AND ".join(
        f"NOT EXISTS (SELECT 1 FROM said c WHERE c.type = {TYPE_CODES[cause]} AND c.ticket = e.ticket {same}"
        " AND c.place < e.place AND c.topic = e.topic)"
        for cause in causes
    )
    wanted = " or ".join(causes)
    return (
        f"SELECT e.ticket, '{effect} lies before what caused it ({wanted})' FROM said e"
        f" WHERE e.type = {TYPE_CODES[effect]} {asked} AND {found}"
    )


# Of what is no ticket, such as a cell of the matrix, only the last state is kept; its version says how many there were.
CHECKS = (
    Check(
        "versions are gapless: every event that was drawn is on its topic, or in the outbox",
        """WITH spoken AS (
            SELECT ticket, source, count(*) AS events, min(version) AS first, max(version) AS last FROM said
            WHERE line = 0 GROUP BY ticket, source),
        waiting AS (
            SELECT p.ticket, p.source, count(*) AS events FROM pending p WHERE NOT EXISTS (
                SELECT 1 FROM said s WHERE s.ticket = p.ticket AND s.source = p.source AND s.version = p.version)
            GROUP BY p.ticket, p.source)
        SELECT d.ticket, service(d.source) || ' drew versions 1 to ' || d.version || '; '
            || coalesce(s.events, 0) || ' events are on the topics, up to version ' || coalesce(s.last, 0)
            || ', and ' || coalesce(w.events, 0) || ' in its outbox'
        FROM drawn d LEFT JOIN spoken s ON s.ticket = d.ticket AND s.source = d.source
            LEFT JOIN waiting w ON w.ticket = d.ticket AND w.source = d.source
        WHERE coalesce(CASE typeof(d.ticket) WHEN 'text' THEN s.last ELSE s.events END, 0)
                + coalesce(w.events, 0) <> d.version
            OR coalesce(s.last, 0) > d.version OR coalesce(s.first, 1) < 1
        UNION ALL
        SELECT s.ticket, service(s.source) || ' said ' || s.events || ' events of which it drew no version'
        FROM spoken s WHERE NOT EXISTS (SELECT 1 FROM drawn d WHERE d.ticket = s.ticket AND d.source = s.source)""",
    ),
    Check(
        "what one service says of a ticket lies on its topic in the order of versions",
        """SELECT ticket, service(source) || ' said version ' || version || ' (' || named(type) || ') before version '
            || before
        FROM (SELECT ticket, source, version, type, topic, place, lag(version) OVER w AS before,
                lag(topic) OVER w AS before_topic, lag(place) OVER w AS before_place
            FROM said WHERE line = 0 WINDOW w AS (PARTITION BY ticket, source ORDER BY version))
        WHERE before_place > place AND before_topic = topic""",
    ),
    Check(
        "no event stands on the topics with two contents",
        """SELECT ticket, named(type) || ' ' || uuid(id) || ' (version ' || version || ' of ' || service(source)
            || ') stands on the topics with two contents' FROM said WHERE clash AND line = 0""",
    ),
    Check(
        "every record on the topics is an event",
        """SELECT NULL, topic(s.topic) || '/' || s.partition || '@' || s.place || ' is no event of ours: ' || s.why
        FROM strange s""",
    ),
    Check("no effect lies before its cause", "\nUNION ALL ".join(_before(*each) for each in CAUSES)),
    Check(
        "every ticket is classified, with one effect, and dispatch has what is classified",
        """SELECT t.ticket, 'classification does not know it' FROM ticket t
        WHERE NOT EXISTS (SELECT 1 FROM judged j WHERE j.ticket = t.ticket)
        UNION ALL
        SELECT j.ticket, 'classification has it as ' || j.state || '; dispatch ' || CASE
            WHEN d.ticket IS NULL THEN 'does not know it' ELSE 'has it' END
        FROM judged j LEFT JOIN dispatched d ON d.ticket = j.ticket
        WHERE (j.state = 'classified') <> (d.ticket IS NOT NULL)
        UNION ALL
        SELECT j.ticket, 'classification has a ticket that intake does not hold' FROM judged j
        WHERE NOT EXISTS (SELECT 1 FROM ticket t WHERE t.ticket = j.ticket)
        UNION ALL
        SELECT d.ticket, 'dispatch has a ticket that classification does not' FROM dispatched d
        WHERE NOT EXISTS (SELECT 1 FROM judged j WHERE j.ticket = d.ticket)
        UNION ALL
        SELECT r.ticket, 'a classification took effect at dispatch ' || (r.count + 1) || ' times; '
            || (SELECT count(*) FROM said s WHERE s.type = :TicketClassified AND s.ticket = r.ticket AND s.line = 0)
            || ' stand on the flow'
        FROM repeated r WHERE r.count + 1 > (
            SELECT count(*) FROM said s WHERE s.type = :TicketClassified AND s.ticket = r.ticket AND s.line = 0)""",
    ),
    Check(
        "every ticket is classified once; what a person was asked, a person decides",
        """WITH told AS (
            SELECT j.ticket, j.state, j.decided_by, j.waiting, j.by_person,
                (SELECT count(*) FROM said s WHERE s.type = :TicketClassified AND s.ticket = j.ticket AND s.line = 0)
                    AS times,
                (SELECT max(s.more) FROM said s WHERE s.type = :TicketClassified AND s.ticket = j.ticket) AS by,
                EXISTS (SELECT 1 FROM said s WHERE s.type = :ReviewRequested AND s.ticket = j.ticket) AS asked
            FROM judged j)
        SELECT ticket, 'TicketClassified stands on the flow ' || times || ' times' FROM told
        WHERE times <> (state = 'classified')
        UNION ALL
        SELECT ticket, 'the flow and classification''s table name different deciders: ' || by || ', ' || decided_by
        FROM told WHERE times = 1 AND by <> decided_by
        UNION ALL
        SELECT ticket, CASE WHEN by_person THEN 'a person decided without a review'
            ELSE 'a review ended without a person' END FROM told WHERE by_person <> (asked AND NOT waiting)
            AND (by_person OR decided_by <> 'hot_event')
            AND NOT (by_person AND NOT asked AND EXISTS (
                SELECT 1 FROM ticket t WHERE t.ticket = told.ticket AND t.whole IS NOT NULL AND NOT EXISTS (
                    SELECT 1 FROM said s WHERE s.type = :TicketSplit AND s.ticket = t.whole AND s.subject = t.ticket
                        AND s.detail IS NULL)))""",
    ),
    Check(
        "a ticket that was split became its parts, each once, and nothing else",
        """SELECT j.ticket, 'classification has it as ' || j.state || '; TicketSplit stands on the flow ' || (
            SELECT count(*) FROM said s WHERE s.type = :TicketSplit AND s.ticket = j.ticket AND s.line = 0) || ' times'
        FROM judged j WHERE (j.state = 'split') <> (
            SELECT count(*) FROM said s WHERE s.type = :TicketSplit AND s.ticket = j.ticket AND s.line = 0)
        UNION ALL
        SELECT s.ticket, 'it was split; intake has it in stage ' || coalesce(t.stage, 'none')
        FROM said s LEFT JOIN ticket t ON t.ticket = s.ticket
        WHERE s.type = :TicketSplit AND s.line = 0 AND t.stage IS NOT 'split'
        UNION ALL
        SELECT s.ticket, 'its part ' || uuid(s.subject) || ' stands ' || (SELECT count(*) FROM ticket t
            WHERE t.ticket = s.subject AND t.whole = s.ticket) || ' times in intake'
        FROM said s WHERE s.type = :TicketSplit AND NOT :until AND (
            SELECT count(*) FROM ticket t WHERE t.ticket = s.subject AND t.whole = s.ticket) <> 1
        UNION ALL
        SELECT t.ticket, 'intake holds it as a part of ' || uuid(t.whole) || ', which no split made' FROM ticket t
        WHERE t.whole IS NOT NULL AND (:windowless OR EXISTS (SELECT 1 FROM ticket w WHERE w.ticket = t.whole))
            AND NOT EXISTS (SELECT 1 FROM said s
                WHERE s.type = :TicketSplit AND s.ticket = t.whole AND s.subject = t.ticket)""",
    ),
    Check(
        "every ticket is closed, and every service knows it",
        """SELECT j.ticket, 'it still waits for a reviewer' FROM judged j
        WHERE :closed AND (j.waiting OR j.state = 'review')
        UNION ALL
        SELECT ticket, 'dispatch has it as ' || state FROM dispatched WHERE :closed AND state <> 'closed'
        UNION ALL
        SELECT t.ticket, 'intake has it in stage ' || coalesce(t.stage, 'none') FROM ticket t
        WHERE :closed AND coalesce(t.stage, '') NOT IN ('closed', 'split')
        UNION ALL
        SELECT t.ticket, 'TicketClosed is not on the flow' FROM ticket t
        WHERE :closed AND t.stage IS NOT 'split'
            AND NOT EXISTS (SELECT 1 FROM said s WHERE s.type = :TicketClosed AND s.ticket = t.ticket)
        UNION ALL
        SELECT d.ticket, 'dispatch has it as ' || d.state || '; intake''s stage is ' || coalesce(t.stage, 'none')
        FROM dispatched d JOIN ticket t ON t.ticket = d.ticket
        WHERE NOT :closed AND (d.state = 'closed') <> (t.stage IS 'closed')""",
    ),
)
