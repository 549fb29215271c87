"""What classification keeps, and for how long: decided tickets are what it learns from."""

from libs.shared.keep import Kept

KEEPS = (
    Kept(
        "tickets",
        "month",
        "ticket_months",
        {
            "ticket": "id",
            "decision": "ticket_id",
            "shadow": "ticket_id",
            "hot_member": "ticket_id",
            "settled": "ticket_id",
        },
        open="SELECT id FROM {ticket} WHERE state = 'review'",
        recent="SELECT id FROM {ticket} WHERE classified_at > :since",
        swept={
            "stream": "key",
            "hot_event": "hot_event_id",
            "arrival": "first_id",
            "cumulative_problem": "problem_id",
        },
    ),
    Kept("traces", "month", "trace_months", {"trace": "ticket_id", "occasion": "began"}),
)
