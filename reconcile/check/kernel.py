"""Every service's own books: in = new + duplicate + dead + parked + skipped; nothing left unsent, unread or buried."""

from reconcile.check.finding import Check

# What stands on a topic before the position up to which a service has handled it, and is not among its dead.
HANDLED = """
    JOIN fence f ON f.service = a.service AND f.topic = s.topic AND f.partition = s.partition AND s.place < f.next
    WHERE s.line = 0 AND NOT EXISTS (SELECT 1 FROM grave g WHERE g.service = a.service AND g.topic = s.topic
        AND g.partition = s.partition AND g.place = s.place)"""
EXPLAINED = """EXISTS (SELECT 1 FROM planted p
    WHERE p.topic = g.topic AND p.partition = g.partition AND p.place = g.place)"""

CHECKS = (
    Check(
        "what a service heard is in its inbox, or buried or parked: in = new + duplicate + dead + parked + skipped",
        f"""SELECT s.ticket, service(a.service) || ' has passed ' || named(s.type) || ' (version '
            || s.version || ' of ' || service(s.source) || ', ' || topic(s.topic) || '/' || s.partition || '@'
            || s.place || ') and not handled it'
        FROM absent a JOIN said s ON substr(s.id, 9) = a.id {HANDLED}""",
    ),
    Check(
        "a service has handled nothing that stands on no topic",
        """SELECT NULL, service(service) || ' has handled ' || count(*) || ' events that stand on no topic' FROM unheard
        WHERE :windowless GROUP BY service""",
    ),
    Check(
        "nothing is buried or parked that was not planted",
        f"""SELECT CASE WHEN length(g.key) = 36 THEN g.key END, service(g.service) || ' has '
            || CASE WHEN g.error IS NULL THEN 'parked ' ELSE 'buried ' END || coalesce(topic(g.topic), 'a record of ')
            || '/' || g.partition || '@' || g.place || coalesce(': ' || g.error, '')
        FROM grave g WHERE NOT {EXPLAINED}""",
    ),
    Check(
        "no service has stopped itself, and none of its partitions waits for a person",
        """SELECT NULL, service(service) || ' has stopped itself and waits for `resume`: ' || reason FROM halt
        UNION ALL
        SELECT NULL, service(service) || ' has stopped at ' || topic(topic) || '/' || partition
            || ' and waits for `offsets accept`: ' || stopped
        FROM fence WHERE stopped IS NOT NULL""",
    ),
    Check(
        "nothing is left unread",
        """WITH late AS (
            SELECT f.service, f.topic, f.partition FROM said s CROSS JOIN fence f
            WHERE f.topic = s.topic AND f.partition = s.partition AND f.next <= s.place AND s.at < :now - :settle
                AND s.line = 0 AND :settle > 0 GROUP BY f.service, f.topic, f.partition)
        SELECT NULL, service(f.service) || ' has not handled ' || (l.stop - f.next) || ' records of '
            || topic(f.topic) || '/' || f.partition
        FROM fence f JOIN log l ON l.topic = f.topic AND l.partition = f.partition
        WHERE f.next < l.stop AND (:settle = 0 OR (f.service, f.topic, f.partition) IN (SELECT * FROM late))
        UNION ALL
        SELECT NULL, service(f.service) || ' stands at ' || f.next || ' of ' || topic(f.topic) || '/' || f.partition
            || ', which ends at ' || l.stop
        FROM fence f JOIN log l ON l.topic = f.topic AND l.partition = f.partition WHERE f.next > l.stop""",
    ),
    Check(
        "nothing is left unsent: out written = sent + pending",
        """SELECT NULL, service(source) || ' has ' || count(*) || ' events in its outbox, the oldest for '
            || (:now - min(at)) / 1000000 || ' s'
        FROM pending GROUP BY source HAVING :settle = 0 OR min(at) <= :now - :settle""",
    ),
)
