"""Agents' screens: every answer, question and merging came to its agent exactly once, under numbers without a hole."""

from reconcile.check.finding import Check

# Facts an agent must hear of, with the inbox they belong to: the agent's, or the desk of the ticket's channel.
FACTS = """
    WITH told AS (
        SELECT s.ticket, s.type, s.id, s.detail AS agent FROM said s WHERE s.type = :TicketAnswered AND s.line = 0
        UNION ALL
        SELECT s.ticket, s.type, s.id, nullif(substr(s.detail, 12), '') FROM said s
        WHERE s.type = :QuestionAsked AND s.detail LIKE 'department:%'
        UNION ALL
        SELECT s.ticket, s.type, s.id, nullif(substr(s.detail, 7), '') FROM said s
        WHERE s.type = :QuestionAnswered AND s.detail LIKE 'agent:%'
        UNION ALL
        SELECT s.ticket, s.type, s.id, s.detail FROM said s WHERE s.type IN (:TicketMerged, :TicketReleased)),
    fact AS (
        SELECT f.ticket, f.type, f.id, coalesce(f.agent, 'desk.' || t.channel) AS agent FROM told f
        LEFT JOIN ticket t ON t.ticket = f.ticket)"""

CHECKS = (
    Check(
        "every ticket is answered, in every round, but masters of dissolved hot events",
        """WITH round AS (
            SELECT d.ticket, d.round, d.state,
                (SELECT count(*) FROM said s WHERE s.type = :TicketAnswered AND s.ticket = d.ticket AND s.line = 0)
                    AS answers,
                (SELECT count(*) FROM said s WHERE s.type = :TicketReopened AND s.ticket = d.ticket) AS reopenings,
                EXISTS (SELECT 1 FROM said s WHERE s.type = :HotEventDissolved AND s.ticket = d.ticket) AS dissolved
            FROM dispatched d)
        SELECT ticket, answers || ' answers, ' || reopenings || ' reopenings on the flow; dispatch has it as ' || state
            || ' in round ' || round
        FROM round WHERE round <> reopenings + 1 OR answers > round OR answers < round - 1
            OR (answers < round AND NOT dissolved AND (:closed OR state = 'answered'))""",
    ),
    Check(
        "every answer, question, reply and merging stands once in its agent's inbox and came once to the screen",
        f"""{FACTS}
        SELECT f.ticket, named(f.type) || ' stands ' || count(n.id) || ' times in the inbox of ' || f.agent
        FROM fact f LEFT JOIN notice n ON n.fact = f.id AND n.recipient = 'agent:' || f.agent
        GROUP BY f.id, f.ticket, f.type, f.agent HAVING count(n.id) <> 1
        UNION ALL
        SELECT f.ticket, named(f.type) || ' came ' || count(DISTINCT s.number) || ' times to the screen of ' || f.agent
        FROM fact f JOIN notice n ON n.fact = f.id AND n.recipient = 'agent:' || f.agent
            LEFT JOIN followed w ON w.agent = f.agent LEFT JOIN shown s ON s.id = n.id
        WHERE w.number < n.number OR (w.agent IS NULL AND :whole)
        GROUP BY f.id, f.ticket, f.type, f.agent HAVING count(DISTINCT s.number) <> 1""",
    ),
    Check(
        "the numbers on every agent's stream are gapless",
        """SELECT NULL, 'the numbers in the inbox of ' || recipient || ' have a hole or begin above 1: ' || count(*)
            || ' notices up to number ' || max(number)
        FROM notice GROUP BY recipient HAVING :windowless AND (count(*) <> max(number) OR min(number) <> 1)
        UNION ALL
        SELECT max(ticket), 'number ' || number || ' of ' || agent || ' came with ' || count(DISTINCT id) || ' notices'
        FROM shown GROUP BY agent, number HAVING count(DISTINCT id) > 1
        UNION ALL
        SELECT n.ticket, 'number ' || n.number || ' of ' || n.recipient || ' (' || n.kind || ') never came'
        FROM notice n LEFT JOIN (SELECT agent, min(number) AS number FROM followed GROUP BY agent) w
            ON n.recipient = 'agent:' || w.agent
        WHERE n.recipient LIKE 'agent:%' AND (w.number < n.number OR (w.agent IS NULL AND :whole))
            AND NOT EXISTS (SELECT 1 FROM shown s WHERE s.agent = substr(n.recipient, 7) AND s.number = n.number)
        UNION ALL
        SELECT s.ticket, 'number ' || s.number || ' came to the screen of ' || s.agent || ' and is not in the inbox'
        FROM shown s WHERE NOT EXISTS (SELECT 1 FROM notice n WHERE n.id = s.id AND n.number = s.number
            AND n.recipient = 'agent:' || s.agent)""",
    ),
    Check(
        "every notice is reported once, and none before the fact it tells",
        """SELECT n.ticket, 'the notice ' || n.kind || ' to ' || n.recipient || ' was reported ' || (SELECT count(*)
            FROM said s WHERE s.type = :NotificationSent AND s.ticket = n.ticket AND s.subject = n.id
                AND s.detail IS NOT NULL) || ' times'
        FROM notice n WHERE (SELECT count(*) FROM said s WHERE s.type = :NotificationSent AND s.ticket = n.ticket
            AND s.subject = n.id AND s.detail IS NOT NULL) <> 1
        UNION ALL
        SELECT s.ticket, 'NotificationSent speaks of ' || uuid(s.subject) || ', which is in no inbox' FROM said s
        WHERE s.type = :NotificationSent AND s.detail IS NOT NULL
            AND NOT EXISTS (SELECT 1 FROM notice n WHERE n.id = s.subject)
        UNION ALL
        SELECT s.ticket, 'a notice is older than the fact it tells' FROM said s
        WHERE s.type = :NotificationSent AND s.more > s.at""",
    ),
)
