"""What sla_timer keeps, and for how long. Timers are days of their own: see `timers`."""

from libs.shared.keep import Kept

KEEPS = (
    Kept(
        "tickets",
        "month",
        "ticket_months",
        {"ticket": "id", "work_order": "ticket_id", "clock": "ticket_id"},
        open="""
            SELECT id FROM {ticket} WHERE closed_at IS NULL
            UNION ALL SELECT ticket_id FROM {clock} WHERE state = 'running'""",
        recent="SELECT id FROM {ticket} WHERE closed_at > :since",
        swept={"stream": "key"},
    ),
)
