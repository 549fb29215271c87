"""One ticket by hand: what agents and departments do with it, and where it stands."""

from typing import Any

from tests.e2e import traffic
from tests.e2e.department import Departments, Webhook
from tests.e2e.zhida import SUPERVISOR, Who, Zhida, department, publish


async def published(zhida: Zhida, title: str, text: str, **more: Any) -> str:
    """A ticket from the inbound topic; its id, once intake has it."""
    offered = traffic.ticket(title, text, **more)
    await publish(zhida.stack.backend.kafka_bootstrap_servers, offered)
    query = {"channel": offered["channel"], "external_ref": offered["external_ref"]}

    async def found() -> str | None:
        answer = await zhida.ask(SUPERVISOR, "GET", "intake/v1/tickets", params=query)
        assert answer.status_code == 200, answer.text
        items = answer.json()["items"]
        return str(items[0]["ticket_id"]) if items else None

    return str(await zhida.until(found, f"intake has {query}"))


async def staged(zhida: Zhida, ticket_id: str, stage: str) -> dict[str, Any]:
    """What intake shows of a ticket, once it has reached that stage."""

    async def there() -> dict[str, Any] | None:
        shown = await zhida.insist(SUPERVISOR, "GET", f"intake/v1/tickets/{ticket_id}")
        return shown if stage in shown["reached"] else None

    found: dict[str, Any] = await zhida.until(there, f"ticket {ticket_id} is {stage}")
    return found


async def order_of(departments: Departments, code: str, ticket_id: str) -> str:
    """The work order that a department got by webhook."""
    hook: Webhook = await departments.until(code, "work_order.assigned", ticket_id)
    return str(hook.data["work_order_id"])


async def move(zhida: Zhida, code: str, order: str, name: str, **body: Any) -> dict[str, Any]:
    """A department's command on its work order, or as lead department on a return."""
    return await zhida.insist(department(code), "POST", f"dispatch/v1/work-orders/{order}/{name}", body)


async def solve(zhida: Zhida, code: str, order: str, text: str) -> None:
    """Accept, contacted, answer."""
    await move(zhida, code, order, "accept")
    await move(zhida, code, order, "contacted")
    await move(zhida, code, order, "answer", text=text)


async def refused(zhida: Zhida, who: Who, place: str, body: dict[str, Any], status: int) -> dict[str, Any]:
    """The problem that a command is refused with."""
    answer = await zhida.ask(who, "POST", place, body)
    assert answer.status_code == status, f"{place}: {answer.status_code} {answer.text}"
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert (problem["status"], bool(problem["title"])) == (status, True)
    return problem


async def notices(zhida: Zhida, who: Who, kind: str, ticket_id: str) -> list[dict[str, Any]]:
    """What stands in the caller's own inbox of that kind about a ticket, once something does."""

    async def there() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        after: int | None = 0
        while after is not None:
            page = await zhida.insist(who, "GET", f"notification/v1/inbox?after={after}&limit=500")
            found += [each for each in page["items"] if (each["kind"], each["ticket_id"]) == (kind, ticket_id)]
            after = page["next"]
        return found

    notices: list[dict[str, Any]] = await zhida.until(there, f"{who.principal} is told {kind} of {ticket_id}")
    return notices
