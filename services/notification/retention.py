"""What notification keeps, and for how long. It knows no end of a ticket: a notice of late keeps the month instead."""

from libs.shared.keep import Kept

KEEPS = (
    Kept(
        "notices",
        "month",
        "notice_months",
        {"notice": "ticket_id", "delivery": "ticket_id"},
        open="""
            SELECT ticket_id FROM {delivery} WHERE state = 'pending'
            UNION ALL SELECT ticket_id FROM {notice} WHERE created_at >= :cutoff""",
        swept={"stream": "key"},
    ),
)
