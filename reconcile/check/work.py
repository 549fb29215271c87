"""Work orders: each department has its own, got it under one webhook-id, and what it did took effect as it was done."""

from reconcile.check.finding import Check

ORDER = "'work order ' || uuid({0}id)"
HOOK = "'webhook ' || uuid({0}id) || ' (' || {0}type || ')'"
# Departments whose receivers' logs we have: all of them where the files are whole.
LOGGED = "(:whole OR {0} IN (SELECT department FROM hook UNION SELECT department FROM call))"

# A department's command → the event it must cause.
EFFECTS = {
    "accept": "WorkOrderAccepted",
    "contacted": "WorkOrderContacted",
    "answer": "WorkOrderAnswered",
    "return": "WorkOrderReturned",
    "ask_agent": "QuestionAsked",
    "answer_question": "QuestionAnswered",
    "rule": "ReturnRuled",
    "add_evidence": "EvidenceAdded",
}
_EFFECT = "CASE name " + " ".join(f"WHEN '{name}' THEN :{event}" for name, event in EFFECTS.items()) + " END"
# Events that departments cause, not agents or supervisors; those of them that may be somebody else's are told apart.
_BY_DEPARTMENT = f"""s.type IN ({", ".join(f":{event}" for event in EFFECTS.values())})
    AND (s.type <> :QuestionAsked OR s.detail LIKE 'department:%')
    AND (s.type <> :QuestionAnswered OR s.detail LIKE 'agent:%')
    AND (s.type <> :ReturnRuled OR s.detail IN (SELECT department FROM delivery UNION SELECT department FROM call))"""

# Work orders that ended because their ticket was merged; once it is released its departments have others.
_MERGED = "(SELECT s.subject FROM said s WHERE s.type = :WorkOrderCancelled AND s.ticket = {0} AND s.more = 'merged')"
_RELEASED = """EXISTS (SELECT 1 FROM membership m WHERE m.ticket = {0} AND m.until IS NOT NULL)"""

CHECKS = (
    Check(
        "every executing department has one work order, announced once; of a merged ticket its master's departments",
        f"""WITH wanted AS (SELECT DISTINCT ticket, detail AS department FROM said WHERE type = :TicketClassified),
        had AS (SELECT ticket, department, sum(id NOT IN {_MERGED.format("o.ticket")}) AS orders FROM work_order o
            WHERE before IS NULL GROUP BY ticket, department)
        SELECT w.ticket, w.department || ' is to execute it and has no work order' FROM wanted w
        WHERE NOT EXISTS (SELECT 1 FROM work_order o WHERE o.ticket = w.ticket AND o.department = w.department
                AND (o.before IS NULL OR o.before IN {_MERGED.format("w.ticket")})
                AND o.id NOT IN {_MERGED.format("w.ticket")})
            AND NOT EXISTS (SELECT 1 FROM membership m WHERE m.ticket = w.ticket AND (m.until IS NULL
                OR EXISTS (SELECT 1 FROM said s WHERE s.type = :TicketAnswered AND s.ticket = w.ticket)))
        UNION ALL
        SELECT h.ticket, h.department || ' has a work order; no classification names it' FROM had h
        WHERE NOT EXISTS (SELECT 1 FROM said s WHERE s.type = :TicketClassified AND s.ticket = h.ticket
                AND s.detail = h.department)
            AND NOT ({_RELEASED.format("h.ticket")} AND EXISTS (SELECT 1 FROM work_order o
                WHERE o.ticket = h.ticket AND o.department = h.department AND o.id IN {_MERGED.format("h.ticket")}))
        UNION ALL
        SELECT h.ticket, h.department || ' has ' || h.orders || ' first work orders' FROM had h WHERE h.orders > 1
        UNION ALL
        SELECT o.ticket, {ORDER.format("o.")} || ' was announced ' || (SELECT count(*) FROM said s
            WHERE s.type = :WorkOrderAssigned AND s.ticket = o.ticket AND s.subject = o.id) || ' times'
        FROM work_order o WHERE (SELECT count(*) FROM said s
            WHERE s.type = :WorkOrderAssigned AND s.ticket = o.ticket AND s.subject = o.id) <> 1
        UNION ALL
        SELECT s.ticket, 'work order ' || uuid(s.subject) || ' is announced, and not in dispatch''s table' FROM said s
        WHERE s.type = :WorkOrderAssigned AND NOT EXISTS (SELECT 1 FROM work_order o WHERE o.id = s.subject)
        UNION ALL
        SELECT o.ticket, {ORDER.format("o.")} || ' of ' || o.department || ' is still ' || o.state FROM work_order o
        WHERE :closed AND o.state NOT IN ('closed', 'reassigned', 'cancelled')""",
    ),
    Check(
        "every return is ruled on, and an upheld one leads to one new work order",
        f"""WITH said_of AS (
            SELECT d.ticket, d.rulings,
                (SELECT count(*) FROM said s WHERE s.type = :WorkOrderReturned AND s.ticket = d.ticket) AS returned,
                (SELECT count(*) FROM said s WHERE s.type = :ReturnRuled AND s.ticket = d.ticket) AS ruled,
                (SELECT count(*) FROM said c WHERE c.type = :WorkOrderCancelled AND c.ticket = d.ticket
                    AND c.more IN ('merged', 'dissolved') AND (
                        SELECT max(s.version * 10 + (s.type = :WorkOrderReturned)) % 10 FROM said s
                        WHERE s.type IN (:WorkOrderReturned, :ReturnRuled) AND s.ticket = d.ticket
                            AND s.subject = c.subject) = 1) AS void
            FROM dispatched d)
        SELECT ticket, returned || ' returns, ' || ruled || ' rulings on the flow, ' || rulings
            || ' in dispatch''s table' FROM said_of WHERE ruled <> rulings OR ruled > returned - void
            OR (:closed AND ruled <> returned - void)
        UNION ALL
        SELECT r.ticket, 'the return of work order ' || uuid(r.subject) || ' was ruled on (' || r.more || '); '
            || (SELECT count(*) FROM work_order o WHERE o.before = r.subject) || ' work orders came of it'
        FROM said r WHERE r.type = :ReturnRuled
            AND (SELECT count(*) FROM work_order o WHERE o.before = r.subject) > 1
        UNION ALL
        SELECT o.ticket, 'work order ' || uuid(o.id) || ' came of a return that nobody upheld' FROM work_order o
        WHERE o.before IS NOT NULL AND NOT EXISTS (SELECT 1 FROM said r WHERE r.ticket = o.ticket
            AND r.subject = o.before AND (r.type = :ReturnRuled AND r.more = 'uphold'
                OR r.type = :WorkOrderCancelled AND (r.more = 'reassigned'
                    OR r.more = 'merged' AND {_RELEASED.format("o.ticket")})))""",
    ),
    Check(
        "every work order came to its department under one webhook-id, or stands in its inbox and that was told",
        f"""WITH sent AS (
            SELECT o.id, o.ticket, o.department, count(d.id) AS webhooks, min(d.id) AS webhook, min(d.state) AS state,
                EXISTS (SELECT 1 FROM endpoint e WHERE e.department = o.department AND e.created <= o.created) AS wanted
            FROM work_order o LEFT JOIN delivery d ON d.work_order = o.id AND d.type = 'work_order.assigned'
            GROUP BY o.id, o.ticket, o.department)
        SELECT ticket, {ORDER.format("")} || ' has ' || webhooks || ' webhooks in dispatch''s table, not one' FROM sent
        WHERE webhooks > 1 OR webhooks < wanted
        UNION ALL
        SELECT DISTINCT s.ticket, {ORDER.format("s.")} || ' came under webhook-id ' || uuid(h.id)
            || '; dispatch has ' || uuid(s.webhook)
        FROM sent s JOIN hook h ON h.work_order = s.id AND h.type = 'work_order.assigned'
        WHERE s.webhooks = 1 AND h.id <> s.webhook
        UNION ALL
        SELECT DISTINCT s.ticket, {ORDER.format("s.")} || ' of ' || s.department || ' came to ' || h.department
        FROM sent s JOIN hook h ON h.work_order = s.id AND h.type = 'work_order.assigned'
        WHERE h.department <> s.department
        UNION ALL
        SELECT s.ticket, {ORDER.format("s.")} || ' counts as delivered; ' || s.department || ' never took it'
        FROM sent s WHERE s.state = 'delivered' AND {LOGGED.format("s.department")} AND NOT EXISTS (SELECT 1 FROM hook h
            WHERE h.work_order = s.id AND h.type = 'work_order.assigned' AND h.status < 300)
        UNION ALL
        SELECT s.ticket, {ORDER.format("s.")} || ' was left to the inbox and nobody was told' FROM sent s
        WHERE s.state = 'inbox' AND NOT EXISTS (SELECT 1 FROM said f
            WHERE f.type = :DeliveryFailed AND f.ticket = s.ticket AND f.detail = s.department)""",
    ),
    Check(
        "every webhook is settled, and receivers and dispatch agree on what was taken",
        f"""SELECT d.ticket, {HOOK.format("d.")} || ' to ' || d.department || ' is still ' || d.state FROM delivery d
        WHERE d.state IN ('pending', 'waiting') AND (:closed OR d.give_up < :now - :settle)
        UNION ALL
        SELECT d.ticket, {HOOK.format("d.")} || ' counts as delivered; its receiver never took it' FROM delivery d
        WHERE d.state = 'delivered' AND {LOGGED.format("d.department")}
            AND NOT EXISTS (SELECT 1 FROM hook h WHERE h.id = d.id AND h.status < 300)
        UNION ALL
        SELECT ticket, 'a receiver took webhook ' || uuid(id) || ', which dispatch does not know' FROM hook h
        WHERE ticket IS NOT NULL AND status < 300 AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.id = h.id)
        UNION ALL
        SELECT ticket, 'a receiver dealt with webhook ' || uuid(id) || ' ' || sum(NOT duplicate) || ' times' FROM hook
        WHERE status < 300 GROUP BY id, ticket HAVING sum(NOT duplicate) <> 1
        UNION ALL
        SELECT s.ticket, 'WorkOrderDelivered names webhook ' || uuid(s.more) || ' ' || count(*)
            || ' times; that is not what the table says'
        FROM said s LEFT JOIN delivery d ON d.id = s.more AND d.state = 'delivered'
            AND d.type IN ('work_order.assigned', 'work_order.reopened')
        WHERE s.type = :WorkOrderDelivered GROUP BY s.ticket, s.more HAVING count(*) > 1 OR max(d.id) IS NULL""",
    ),
    Check(
        "every delivered webhook has its attempts on record",
        f"""SELECT d.ticket, {HOOK.format("d.")} || ' is delivered; ' || coalesce(a.good, 0) || ' successful attempts, '
            || coalesce(a.tries, 0) || ' of ' || d.attempts || ' are on record'
        FROM delivery d LEFT JOIN attempt a ON a.delivery = d.id
        WHERE d.state = 'delivered' AND (coalesce(a.good, 0) < 1 OR coalesce(a.tries, 0) < d.attempts)""",
    ),
    Check(
        "what departments did took effect, and nothing else did",
        f"""WITH done AS (
            SELECT work_order, {_EFFECT} AS effect, max(ticket) AS ticket, max(status = 200) AS told,
                count(DISTINCT key) FILTER (WHERE status = 200 OR status IS NULL) AS possible
            FROM call WHERE name IN ({", ".join(f"'{name}'" for name in EFFECTS)}) GROUP BY work_order, effect),
        said_of AS (
            SELECT s.ticket, s.subject AS work_order, s.type AS effect, count(*) AS times
            FROM said s WHERE {_BY_DEPARTMENT} GROUP BY s.type, s.ticket, s.subject)
        SELECT d.ticket, 'a department was told its command on work order ' || uuid(d.work_order) || ' worked, and no '
            || named(d.effect) || ' followed'
        FROM done d WHERE d.told AND NOT EXISTS (
            SELECT 1 FROM said s WHERE s.type = d.effect AND s.subject = d.work_order AND {_BY_DEPARTMENT}
                AND s.ticket = (SELECT o.ticket FROM work_order o WHERE o.id = d.work_order))
        UNION ALL
        SELECT s.ticket, named(s.effect) || ' was said ' || s.times || ' times of work order ' || uuid(s.work_order)
            || '; departments did it ' || coalesce(d.possible, 0) || ' times'
        FROM said_of s LEFT JOIN done d ON d.work_order = s.work_order AND d.effect = s.effect
        WHERE :whole AND s.times > coalesce(d.possible, 0)""",
    ),
    Check(
        "questions and replies are the same in the table and on the flow",
        """WITH spoken AS (
            SELECT ticket, more AS id, sum(type = :QuestionAsked) AS asked, sum(type = :QuestionAnswered) AS answered
            FROM said WHERE type IN (:QuestionAsked, :QuestionAnswered) GROUP BY ticket, more)
        SELECT q.ticket, 'question ' || uuid(q.id) || ' was announced ' || coalesce(s.asked, 0) || ' times'
        FROM question q LEFT JOIN spoken s ON s.id = q.id WHERE coalesce(s.asked, 0) <> 1
        UNION ALL
        SELECT q.ticket, 'the reply to question ' || uuid(q.id) || ' was announced ' || coalesce(s.answered, 0)
            || ' times; the table holds ' || q.answered
        FROM question q LEFT JOIN spoken s ON s.id = q.id WHERE coalesce(s.answered, 0) <> q.answered
        UNION ALL
        SELECT s.ticket, 'question ' || uuid(s.id) || ' is on the flow, but not in dispatch''s table' FROM spoken s
        WHERE NOT EXISTS (SELECT 1 FROM question q WHERE q.id = s.id)""",
    ),
)
