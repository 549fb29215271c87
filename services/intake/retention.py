"""What intake keeps, and for how long. A reference stays taken for as long as its ticket is kept."""

from typing import get_args

from libs.shared.keep import Kept
from services.intake.domain.stage import Stage

_OPEN = ", ".join(f"'{stage}'" for stage in get_args(Stage) if stage not in ("closed", "split"))

KEEPS = (
    Kept(
        "originals",
        "month",
        "vault_months",
        {"vault": "ticket_id"},
        open=f"""
            SELECT s.ticket_id FROM ticket_stage s WHERE s.stage IN ({_OPEN})
            AND s.ticket_id >= :low AND s.ticket_id < :high
            AND EXISTS (SELECT FROM {{vault}} v WHERE v.ticket_id = s.ticket_id)""",
    ),
    Kept(
        "tickets",
        "month",
        "ticket_months",
        dict.fromkeys(("ticket", "ticket_stage", "amendment", "late_fact"), "ticket_id"),
        open=f"SELECT ticket_id FROM {{ticket_stage}} WHERE stage IN ({_OPEN})",
        recent="SELECT ticket_id FROM {ticket_stage} WHERE since > :since",
        swept={"reference": "ticket_id", "stream": "key"},
    ),
    Kept("rejected", "month", "rejected_months", {"rejected": "rejected_id"}),
    Kept("audit", "month", "audit_months", {"audit": "audit_id"}),
)
