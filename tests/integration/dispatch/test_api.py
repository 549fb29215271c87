"""Who may do what over HTTP, what is refused and how, and that every command is idempotent."""

from typing import Any
from uuid import uuid4

import pytest

from libs.shared.contracts import dispatch as says
from tests.integration.dispatch.world import METER, REPAIR, World, post


async def test_a_department_sees_only_its_own_work_orders(world: World) -> None:
    ticket_id = await world.classify(METER, REPAIR)
    order = (await world.orders(ticket_id))["meter"]
    path = f"/v1/work-orders/{order['work_order_id']}"
    assert [
        each["department"] for each in (await world.departments["meter"].get("/v1/work-orders")).json()["items"]
    ] == ["meter"]
    assert (await world.departments["repair"].get(path)).status_code == 404
    assert (await world.departments["marketing"].get(path)).status_code == 200  # leads the ticket
    for move, body in (
        ("accept", {}),
        ("contacted", {}),
        ("answer", {"text": "x"}),
        ("questions", {"text": "x"}),
        ("return", {"reason_code": "no", "reason": "x"}),
        ("evidence", {"kind": "photo", "uri": "https://x.example/1"}),
    ):
        assert (await world.do("repair", order, move, **body)).status_code == 404
        assert (await world.do("marketing", order, move, **body)).status_code == 404
    assert (await world.orders(ticket_id))["meter"]["state"] == "assigned"


@pytest.mark.parametrize(
    ("who", "method", "path"),
    [
        ("agent", "GET", "/v1/work-orders"),
        ("agent", "POST", "/v1/work-orders/{id}/accept"),
        ("supervisor", "POST", "/v1/work-orders/{id}/accept"),
        ("supervisor", "POST", "/v1/tickets/{id}/close"),
        ("agent", "POST", "/v1/work-orders/{id}/ruling"),
        ("agent", "GET", "/v1/endpoints"),
        ("supervisor", "GET", "/v1/deliveries"),
        ("agent", "PUT", "/v1/endpoints/meter"),
        ("agent", "POST", "/v1/deliveries/replay"),
        ("platform", "GET", "/v1/returns"),
    ],
)
async def test_a_key_without_the_scope_is_refused(world: World, who: str, method: str, path: str) -> None:
    answer = await getattr(world, who).request(method, path.replace("{id}", str(uuid4())), json={})
    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"


async def test_every_endpoint_asks_for_a_key(world: World) -> None:
    paths = world.harness.app.openapi()["paths"]
    assert len(paths) >= 20
    for path, methods in paths.items():
        for method in methods:
            url = path.replace("{department}", "meter")
            for name in ("work_order_id", "ticket_id", "question_id", "delivery_id"):
                url = url.replace(f"{{{name}}}", str(uuid4()))
            answer = await world.admin.request(method, url, headers={"Authorization": "Bearer no.such"})
            assert answer.status_code == 401, (method, url)


@pytest.mark.parametrize(
    ("move", "body", "field"),
    [
        ("answer", {}, "text"),
        ("answer", {"text": ""}, "text"),
        ("answer", {"text": "   "}, "text"),
        ("answer", {"text": "x" * 8001}, "text"),
        ("answer", {"text": "a\x00b"}, "text"),
        ("answer", {"text": 5}, "text"),
        ("answer", {"text": "ok", "extra": 1}, "extra"),
        ("questions", {"text": None}, "text"),
        ("contacted", {"note": "x" * 2001}, "note"),
        ("accept", {"by": "me"}, "by"),
        ("evidence", {"kind": "photo", "uri": "javascript:alert(1)"}, "uri"),
        ("evidence", {"kind": "photo", "uri": "https://x.example/a b"}, "uri"),
        ("evidence", {"kind": "", "uri": "https://x.example/1"}, "kind"),
        ("ruling", {"decision": "maybe"}, "decision"),
    ],
)
async def test_bad_input_names_the_field(world: World, move: str, body: dict[str, Any], field: str) -> None:
    ticket_id = await world.classify(METER)
    order = (await world.orders(ticket_id))["meter"]
    answer = await world.do("meter", order, move, **body)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_input_that_is_not_json_or_no_id_is_refused(world: World) -> None:
    meter = world.departments["meter"]
    answer = await meter.post(
        f"/v1/work-orders/{uuid4()}/answer",
        content=b"{not json",
        headers={"Content-Type": "application/json", "Idempotency-Key": "k"},
    )
    assert answer.status_code == 400
    answer = await post(meter, "/v1/work-orders/7/accept")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "work_order_id")
    for query, field in (({"state": "lost"}, "state"), ({"limit": "0"}, "limit"), ({"after": "!!"}, "after")):
        answer = await meter.get("/v1/work-orders", params=query)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


async def test_a_command_without_a_key_is_refused(world: World) -> None:
    ticket_id = await world.classify(METER)
    order = (await world.orders(ticket_id))["meter"]
    answer = await world.departments["meter"].post(f"/v1/work-orders/{order['work_order_id']}/accept")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "Idempotency-Key")


async def test_a_repeated_command_is_answered_as_the_first_and_done_once(world: World) -> None:
    ticket_id = await world.classify(METER)
    order = (await world.orders(ticket_id))["meter"]
    meter, path = world.departments["meter"], f"/v1/work-orders/{order['work_order_id']}"
    first = await post(meter, f"{path}/accept", key="same")
    again = await post(meter, f"{path}/accept", key="same")
    assert (first.status_code, first.json()) == (again.status_code, again.json())
    await post(meter, f"{path}/questions", key="q", text="户号?")
    await post(meter, f"{path}/questions", key="q", text="户号?")
    assert len(await world.said(says.WorkOrderAccepted)) == 1
    assert len(await world.said(says.QuestionAsked)) == 1
    other = await post(meter, f"{path}/questions", key="q", text="另一个?")
    assert other.status_code == 422


async def test_the_same_move_under_another_key_changes_nothing(world: World) -> None:
    ticket_id = await world.classify(METER)
    order = (await world.orders(ticket_id))["meter"]
    for _ in range(2):
        await world.done("meter", order, "accept")
        await world.done("meter", order, "contacted", note="已联系")
    await world.done("meter", order, "answer", text="已换表")
    assert (await world.done("meter", order, "answer", text="已换表"))["state"] == "answered"
    for kind in (says.WorkOrderAccepted, says.WorkOrderContacted, says.WorkOrderAnswered, says.TicketAnswered):
        assert len(await world.said(kind)) == 1
    other = await world.do("meter", order, "answer", text="另一种说法")
    assert (other.status_code, other.json()["state"]) == (409, "answered")
    for _ in range(2):
        assert (await post(world.agent, f"/v1/tickets/{ticket_id}/close", satisfied=True)).status_code == 200
    assert len(await world.said(says.TicketClosed)) == 1


@pytest.mark.parametrize("move", ["contacted", "answer"])
async def test_an_illegal_move_is_answered_with_the_state_and_the_legal_moves(world: World, move: str) -> None:
    ticket_id = await world.classify(METER)
    order = (await world.orders(ticket_id))["meter"]
    answer = await world.do("meter", order, move, **({"text": "x"} if move == "answer" else {}))
    assert answer.status_code == 409
    problem = answer.json()
    assert problem["state"] == "assigned"
    assert {"accept", "return"} <= set(problem["allowed"])


async def test_illegal_moves_of_a_ticket_are_refused(world: World) -> None:
    ticket_id = await world.classify(METER)
    answer = await post(world.agent, f"/v1/tickets/{ticket_id}/reopen", reason="x")
    assert (answer.status_code, answer.json()["state"], answer.json()["allowed"]) == (409, "open", ["answer", "close"])
    await post(world.agent, f"/v1/tickets/{ticket_id}/close")
    answer = await post(world.agent, f"/v1/tickets/{ticket_id}/questions", text="x")
    assert answer.status_code == 409
    answer = await post(world.agent, f"/v1/tickets/{ticket_id}/close", satisfied=True)
    assert answer.status_code == 409


async def test_a_question_that_was_answered_keeps_its_answer(world: World) -> None:
    ticket_id = await world.classify(METER)
    order = (await world.orders(ticket_id))["meter"]
    asked = await world.done("meter", order, "questions", text="户号?")
    path = f"/v1/questions/{asked['question_id']}/answer"
    assert (await post(world.departments["meter"], path, text="x")).status_code == 403
    assert (await post(world.agent, path, text="88")).status_code == 200
    assert (await post(world.agent, path, text="88")).status_code == 200
    assert (await post(world.agent, path, text="99")).status_code == 409
    put = (await post(world.agent, f"/v1/tickets/{ticket_id}/questions", text="?")).json()["questions"][0]
    other = await post(world.departments["repair"], f"/v1/questions/{put['question_id']}/answer", text="x")
    assert other.status_code == 404


async def test_a_question_to_a_wrong_address_names_the_field(world: World) -> None:
    ticket_id = await world.classify(METER)
    order = (await world.orders(ticket_id))["meter"]
    for body, field in (
        ({"department": "repair"}, "department"),
        ({"work_order_id": str(uuid4())}, "work_order_id"),
        ({"department": "meter", "work_order_id": order["work_order_id"]}, "work_order_id"),
    ):
        answer = await post(world.agent, f"/v1/tickets/{ticket_id}/questions", text="?", **body)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


async def test_lists_are_paged_without_gap_or_repeat(world: World) -> None:
    tickets = [await world.classify(METER) for _ in range(5)]
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 2}
    while True:
        page = (await world.departments["meter"].get("/v1/work-orders", params=query)).json()
        seen.extend(item["ticket_id"] for item in page["items"])
        if page["next"] is None:
            break
        query["after"] = page["next"]
    assert sorted(seen) == sorted(map(str, tickets))
    mine = (await world.agent.get("/v1/tickets", params={"limit": 3})).json()
    rest = (await world.agent.get("/v1/tickets", params={"after": mine["next"]})).json()
    assert [item["ticket_id"] for item in mine["items"] + rest["items"]] == sorted(map(str, tickets), reverse=True)
    assert (await world.platform.get("/v1/tickets", headers={"X-Agent-Id": "a1"})).json()["items"] != []
    assert (await world.platform.get("/v1/tickets")).json()["items"] == []


@pytest.mark.parametrize(
    ("state", "found"),
    [("open", 2), ("assigned", 1), ("accepted", 1), ("contacted", 1), ("answered", 1), ("all", 3), ("closed", 0)],
)
async def test_the_list_is_filtered_by_state(world: World, state: str, found: int) -> None:
    await world.classify(METER)
    order = (await world.orders(await world.classify(METER)))["meter"]
    await world.done("meter", order, "accept")
    await world.done("meter", order, "contacted")
    await world.work(await world.classify(METER), "meter")
    items = (await world.departments["meter"].get("/v1/work-orders", params={"state": state})).json()["items"]
    assert len(items) == found


async def test_tickets_of_an_agent_are_filtered_by_state(world: World) -> None:
    opened, answered, closed = [await world.classify(METER) for _ in range(3)]
    await world.work(answered, "meter")
    await post(world.agent, f"/v1/tickets/{closed}/close")
    for state, expected in (
        (None, {opened, answered}),
        ("open", {opened}),
        ("answered", {answered}),
        ("closed", {closed}),
    ):
        items = (await world.agent.get("/v1/tickets", params={"state": state} if state else {})).json()["items"]
        assert {item["ticket_id"] for item in items} == set(map(str, expected))


async def test_paths_with_several_methods_name_them_all(world: World) -> None:
    answer = await world.admin.request("OPTIONS", "/v1/endpoints/meter")
    assert (answer.status_code, answer.headers["allow"]) == (405, "DELETE, GET, PUT")


@pytest.mark.parametrize("changes", [{"concurrency": True}, {"timeout_seconds": "5"}, {"concurrency": 2.0}])
async def test_numbers_are_numbers_and_nothing_like_them(world: World, changes: dict[str, Any]) -> None:
    body = {"url": "http://127.0.0.1:9/", "networks": ["127.0.0.0/8"], **changes}
    answer = await world.admin.put("/v1/endpoints/meter", json=body)
    assert (answer.status_code, [each["field"] for each in answer.json()["errors"]]) == (422, list(changes))


async def test_satisfied_is_yes_or_no_and_not_a_word(world: World) -> None:
    ticket_id = await world.classify(METER)
    answer = await post(world.agent, f"/v1/tickets/{ticket_id}/close", satisfied="off")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "satisfied")
