"""How a clock lies in its table."""

from typing import Any

from sqlalchemy import Row

from libs.shared.contracts.classification import Department
from services.sla_timer.domain.clock import Promise

CLOCK = """id, ticket_id, work_order_id, kind, department, department_name, lead, lead_name, supervisor, started_at,
    due_at, limit_seconds, rule, sla_class, star, state, stopped_at, passed, generation"""


def promised(row: Row[Any]) -> Promise:
    """The clock behind a row of `clock`."""
    return Promise(
        id=row.id,
        ticket_id=row.ticket_id,
        work_order_id=row.work_order_id,
        kind=row.kind,
        department=None if row.department is None else Department(code=row.department, name=row.department_name),
        lead_department=Department(code=row.lead, name=row.lead_name),
        supervisor=row.supervisor,
        started_at=row.started_at,
        limit_seconds=row.limit_seconds,
        rule=row.rule,
        sla_class=row.sla_class,
        star=row.star,
    )
