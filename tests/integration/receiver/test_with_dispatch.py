"""The kit's simulated departments work with the real dispatch service, and both have the same tale to tell."""

import asyncio
import base64
import csv
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from pydantic import SecretStr
from zhida_receiver.simulation.plan import read
from zhida_receiver.simulation.run import Summary, simulate

from libs.shared import keys
from libs.shared.contracts.classification import TicketClassified
from libs.shared.contracts.intake import Customer, Place, Ticket
from libs.shared.events import uuid7
from services.classification.domain import fact, pack
from services.classification.domain.classifier import Classifier
from services.dispatch.main import service
from tests.running import Harness, eventually, harness

ROOT = Path(__file__).parents[3]
MATRIX = pack.read((ROOT / "services/classification/packs/power_95598.yaml").read_text(encoding="utf-8"))
CODES = [department.code for department in MATRIX.departments]
EXECUTING = [department.code for department in MATRIX.departments if department.role == "executing"]
BEHAVIOUR: dict[str, Any] = {
    **dict.fromkeys(("accept_after", "contact_after", "answer_after", "rule_after"), 0.02),
    "returns": 0.15,
    "asks": 0.2,
    "patience": 0.1,
    "adds_evidence": 0.3,
    "fails": 0.05,
    "throttles": 0.05,
    "retry_after": 1,
    "suggests": EXECUTING,
}


@dataclass
class World:
    """Dispatch on a port, with its sending loop."""

    dispatch: Harness
    url: str


def tickets(every: int) -> Iterator[TicketClassified]:
    """Every n-th sample ticket, classified by the matrix."""
    classifier = Classifier(MATRIX)
    with (ROOT / "demo/tickets.csv").open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.DictReader(file)):
            if number % every:
                continue
            ticket = Ticket(
                channel=row["channel"],
                external_ref=row["external_ref"],
                agent_id=row["agent_id"] or None,
                title=row["title"],
                text=row["text"],
                place=Place(area_code=row["area_code"] or None, address=row["address"] or None),
                customer=Customer(star=int(row["star"])),
                opened_at=datetime.fromisoformat(row["opened_at"]),
            )
            verdict = classifier.classify(ticket)
            at = ticket.opened_at
            yield fact.classified(uuid7(at), ticket, MATRIX, verdict, at=at, by="matrix", model_version=None)


@pytest.fixture
async def world(database: str) -> AsyncIterator[World]:
    sealing = SecretStr(base64.b64encode(bytes(32)).decode())
    async with harness(service, database, delivery_key=sealing) as dispatch:
        server = uvicorn.Server(uvicorn.Config(dispatch.app, port=0, log_level="error", lifespan="off"))
        tasks = [asyncio.create_task(server.serve())]
        tasks += [asyncio.create_task(loop(dispatch.running)) for loop in service.runs]  # type: ignore[arg-type]

        async def listens() -> bool:
            return server.started

        await eventually(listens)
        yield World(dispatch, f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}")
        server.should_exit = True
        dispatch.running.stopping.set()
        await asyncio.gather(*tasks)


@asynccontextmanager
async def departments(world: World, folder: Path) -> AsyncIterator[list[Summary]]:
    """All departments of the matrix at work, connected as an administrator would; the summary follows the end."""
    roles = []
    for code in CODES:
        api_key = await keys.create(world.dispatch.running, code, ["department"], None)
        roles.append({"code": code, "api_key": api_key, "keys_file": f"{code}.keys"})
    plan = {"dispatch": world.url, "departments": roles, "behaviour": BEHAVIOUR, "poll": 1, "seed": 3}
    files = {"log": "log.jsonl", "receipts": "receipts.db", "ready": "ready.json"}
    (folder / "plan.json").write_text(json.dumps(plan | files))
    stop, summaries = asyncio.Event(), list[Summary]()
    running = asyncio.create_task(simulate(read(folder / "plan.json"), stop))

    async def ready() -> bool:
        return (folder / "ready.json").exists()

    await eventually(ready)
    async with world.dispatch.client("administrator", "admin") as admin:
        for number, (code, place) in enumerate(json.loads((folder / "ready.json").read_text())["departments"].items()):
            body = {"url": place["url"], "networks": ["127.0.0.0/8"]}
            made = await admin.put(f"/v1/endpoints/{code}", json=body, headers={"Idempotency-Key": code})
            assert made.status_code == 201, made.text
            trusted = made.json()["secret" if number % 2 else "public_key"]
            (folder / f"{code}.keys").write_text(trusted)
    try:
        yield summaries
    finally:
        stop.set()
        summaries.append(await running)


async def test_departments_and_dispatch_agree_on_everything_that_happened(world: World, tmp_path: Path) -> None:
    events = list(tickets(every=6))
    async with departments(world, tmp_path) as summaries:
        await world.dispatch.hear(*events)

        async def settled() -> bool:
            tickets = await world.dispatch.rows("SELECT count(*) AS n FROM ticket WHERE state <> 'answered'")
            deliveries = await world.dispatch.rows(
                "SELECT count(*) AS n FROM delivery WHERE state IN ('pending', 'waiting')"
            )
            return not tickets[0].n and not deliveries[0].n

        await eventually(settled, seconds=60)
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    taken = {line["webhook_id"] for line in log if line["event"] == "webhook" and line["status"] == 200}
    delivered = await world.dispatch.rows("SELECT delivery_id FROM delivery WHERE state = 'delivered'")
    assert taken == {str(row.delivery_id) for row in delivered}
    answers = Counter(
        line["work_order_id"]
        for line in log
        if line["event"] == "call" and (line["call"], line["status"]) == ("answer", 200)
    )
    orders = await world.dispatch.rows("SELECT work_order_id FROM work_order WHERE state = 'answered'")
    assert answers == Counter(str(row.work_order_id) for row in orders)
    counts = summaries[0].counts
    assert counts["answer"] >= len(events) == 50
    assert (counts["failed"], counts["dropped"], counts["unreadable"]) == (0, 0, 0)
    assert min(counts[name] for name in ("return", "rule", "ask_agent", "add_evidence", "refused")) > 0
    refused = Counter(line["status"] for line in log if line["event"] == "webhook" and line["status"] != 200)
    assert set(refused) <= {429, 500}
