"""A ready-made receiver for the first hour: shows each webhook, and accepts work orders if it is told to."""

from collections.abc import Callable

from zhida_receiver.call import MoveRefused
from zhida_receiver.department import Department
from zhida_receiver.notice import Notice, WorkOrder
from zhida_receiver.receipt import Reply


class Screen:
    """Takes every webhook, writes it out in readable lines through `show`, accepts when given a `department`."""

    def __init__(self, show: Callable[[str], None], department: Department | None = None) -> None:
        self._show = show
        self._department = department

    async def take(self, notice: Notice) -> Reply:
        """Show one webhook. Raises what accepting raises, so that Zhida delivers again and accepting is tried again."""
        if notice.type != "work_order.assigned":
            self._show(f"{notice.type}  {notice.id}")
            for name, value in notice.data.items():
                self._show(f"    {name}: {value}")
            return Reply()
        order = WorkOrder.of(notice.data)
        self._show(described(order))
        if self._department is not None:
            try:
                await self._department.accept(order.work_order_id, key=f"{notice.id}-accept")
                self._show("    accepted 已接单")
            except MoveRefused as refusal:
                self._show(f"    not accepted 未接单: {refusal.detail}")
        return Reply()


def described(order: WorkOrder) -> str:
    """A work order in a few lines for a person."""
    due = ", ".join(f"{clock} {moment.astimezone():%m-%d %H:%M}" for clock, moment in order.due.items())
    lines = [
        f"派工单 {order.work_order_id}  工单 {order.ticket_id}",
        f"    {order.title}",
        f"    {order.text}",
        f"    情况 {order.situation_name} ({' / '.join(order.category_path)})",
        f"    地点 {order.place or '-'}  渠道 {order.channel}",
        f"    星级 {order.star or '-'}  紧急程度 {order.urgency or '-'}",
        f"    责任部门 {order.department}  归口部门 {order.lead_department}  坐席 {order.agent_id or '-'}",
    ]
    return "\n".join([*lines, f"    时限 {due}"] if due else lines)
