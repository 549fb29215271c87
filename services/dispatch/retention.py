"""What dispatch keeps, and for how long."""

from libs.shared.keep import Kept

KEEPS = (
    Kept(
        "tickets",
        "month",
        "ticket_months",
        {"master": "master_id"}
        | dict.fromkeys(
            (
                "ticket",
                "member",
                "work_order",
                "history",
                "return_case",
                "question",
                "evidence",
                "amendment",
                "delivery",
                "diversion",
            ),
            "ticket_id",
        ),
        open="""
            SELECT ticket_id FROM {ticket} WHERE state <> 'closed'
            UNION ALL SELECT ticket_id FROM {delivery} WHERE state IN ('pending', 'waiting')""",
        recent="SELECT ticket_id FROM {ticket} WHERE closed_at > :since",
        swept={"stream": "key"},
    ),
    Kept("cells", "month", "ticket_months", {"cell": "month"}),
    Kept(
        "reassignments",
        "month",
        "ticket_months",
        {"reassignment": "reassignment_id", "reassignment_item": "reassignment_id"},
        open="SELECT reassignment_id FROM {reassignment} WHERE state <> 'done'",
    ),
    Kept("attempts", "day", "attempt_days", {"attempt": "delivery_id"}),
)
