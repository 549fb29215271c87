"""Clocks and timers: announced once, stopped once as the table says; each point passed once, never early."""

from reconcile.check.finding import Check

CLOCK = "'clock ' || uuid({0}id) || ' (' || {0}kind || ')'"
FIRES = "(:ClockWarned, :ClockBreached)"

CHECKS = (
    Check(
        "every clock is announced once and stops once, as its table says",
        f"""WITH count_of AS (
            SELECT c.id, c.ticket, c.kind, c.state,
                (SELECT count(*) FROM said s WHERE s.type = :ClocksStarted AND s.ticket = c.ticket AND s.subject = c.id)
                    AS started,
                (SELECT count(*) FROM said s WHERE s.type = :ClocksStopped AND s.ticket = c.ticket AND s.subject = c.id)
                    AS stopped,
                (SELECT max(s.detail) FROM said s
                    WHERE s.type = :ClocksStopped AND s.ticket = c.ticket AND s.subject = c.id) AS outcome
            FROM clock c)
        SELECT ticket, {CLOCK.format("")} || ' was announced ' || started || ' times' FROM count_of WHERE started <> 1
        UNION ALL
        SELECT ticket, {CLOCK.format("")} || ' is ' || state || '; the topic says ' || stopped || ' times it stopped'
            || coalesce(', ' || outcome, '')
        FROM count_of WHERE stopped <> (state <> 'running') OR (stopped AND outcome <> state)
        UNION ALL
        SELECT ticket, {CLOCK.format("")} || ' still runs' FROM count_of WHERE :closed AND state = 'running'
        UNION ALL
        SELECT s.ticket, 'clock ' || uuid(s.subject) || ' was announced and is not in the table' FROM said s
        WHERE s.type = :ClocksStarted AND NOT EXISTS (SELECT 1 FROM clock c WHERE c.id = s.subject)""",
    ),
    Check(
        "no clock passes a point early",
        f"""SELECT s.ticket, {CLOCK.format("c.")} || ' passed ' || s.detail || ' % '
            || (c.started + c.seconds * s.detail * 10000 - s.at) || ' us early'
        FROM said s JOIN clock c ON c.id = s.subject
        WHERE s.type IN {FIRES} AND s.at < c.started + c.seconds * s.detail * 10000""",
    ),
    Check(
        "every armed timer fires once or is cancelled: no point passes twice, none after its clock has stopped",
        f"""SELECT s.ticket, 'clock ' || uuid(s.subject) || ' passed ' || s.detail || ' % ' || count(*) || ' times'
        FROM said s WHERE s.type IN {FIRES} GROUP BY s.ticket, s.subject, s.detail HAVING count(*) > 1
        UNION ALL
        SELECT s.ticket, 'clock ' || uuid(s.subject) || ' passed ' || s.detail || ' % after it had stopped'
        FROM said s JOIN said e ON e.type = :ClocksStopped AND e.ticket = s.ticket AND e.subject = s.subject
        WHERE s.type IN {FIRES} AND e.version < s.version
        UNION ALL
        SELECT c.ticket, {CLOCK.format("c.")} || ' has passed ' || c.passed || ' % by its table; no event says so'
        FROM clock c WHERE c.passed > 0 AND NOT EXISTS (SELECT 1 FROM said s
            WHERE s.type IN {FIRES} AND s.ticket = c.ticket AND s.subject = c.id AND s.detail = c.passed)
        UNION ALL
        SELECT s.ticket, 'clock ' || uuid(s.subject) || ' passed ' || s.detail || ' %; its table is at '
            || c.passed || ' %'
        FROM said s JOIN clock c ON c.id = s.subject WHERE s.type IN {FIRES} AND s.detail > c.passed""",
    ),
    Check(
        "every running clock has one timer for its next point, and none is overdue",
        f"""WITH armed AS (
            SELECT c.id, c.ticket, c.kind, c.passed, count(t.clock) AS timers, min(t.at) AS at,
                min(t.percent) AS percent
            FROM clock c LEFT JOIN timer t ON t.clock = c.id AND t.generation = c.generation
            WHERE c.state = 'running' GROUP BY c.id, c.ticket, c.kind, c.passed)
        SELECT ticket, {CLOCK.format("")} || ' runs, has passed ' || passed || ' % and has ' || timers || ' timers'
        FROM armed WHERE timers > 1 OR (timers = 0 AND passed < 100) OR percent <= passed
        UNION ALL
        SELECT ticket, {CLOCK.format("")} || ' had to pass ' || percent || ' % ' || (l.at - a.at) / 1000000 || ' s ago'
        FROM armed a JOIN look l ON l.service = :sla_timer WHERE a.at < l.at - max(:settle, 5000000)
        UNION ALL
        SELECT NULL, 'a timer is armed for clock ' || uuid(t.clock) || ', which is in no table' FROM timer t
        WHERE NOT EXISTS (SELECT 1 FROM clock c WHERE c.id = t.clock)""",
    ),
)
