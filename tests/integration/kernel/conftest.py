"""A service made for the kernel's own tests: it adds amounts to an account and says what it did."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

import pytest
from fastapi import APIRouter, Request, Response
from sqlalchemy import text

from libs.shared import db
from libs.shared.db import Poison, Transaction
from libs.shared.events import Event
from libs.shared.service import Record, Service
from libs.shared.web import Answer, Body, Caller, Refused, caller, command
from tests.running import Harness, harness

ADD = text("""
    INSERT INTO account (ticket_id, total, seen) SELECT ticket_id, amount, ARRAY[amount]
    FROM unnest(CAST(:ids AS uuid[]), CAST(:amounts AS bigint[])) AS a(ticket_id, amount)
    ON CONFLICT (ticket_id) DO UPDATE SET
        total = account.total + excluded.total, seen = account.seen || excluded.seen""")


class Deposited(Event):
    """An amount to add."""

    ticket_id: UUID
    amount: int


class Withdrawn(Event):
    """An amount to take, one by one."""

    ticket_id: UUID
    amount: int


class Booked(Event):
    """What was done."""

    ticket_id: UUID
    amount: int


async def deposit(events: list[Deposited], tx: Transaction) -> None:
    """The list form; 666 is poison, 667 fails in the database, 1000 is too large for an event."""
    if any(event.amount == 666 for event in events):
        raise Poison("666 cannot be booked")
    amounts = [2**70 if event.amount == 667 else event.amount for event in events]
    await tx.run(ADD, ids=[event.ticket_id for event in events], amounts=amounts)
    for event in events:
        tx.publish(Booked(ticket_id=event.ticket_id, amount=event.amount))


async def withdraw(event: Withdrawn, tx: Transaction) -> None:
    """The single form."""
    await tx.run(ADD, ids=[event.ticket_id], amounts=[-event.amount])
    tx.publish(Booked(ticket_id=event.ticket_id, amount=-event.amount))


async def receive(records: list[Record], tx: Transaction) -> None:
    """A raw topic."""
    for record in records:
        await tx.run(text("INSERT INTO raw (body) VALUES (:body)"), body=record.value)


@dataclass(frozen=True)
class Deposit:
    """A command."""

    ticket_id: UUID
    amount: int


class DepositBody(Body):
    """Its body."""

    amount: int


async def book(args: Deposit, tx: Transaction) -> Answer:
    """The single command form."""
    if args.amount < 0:
        raise Refused(409, "Negative", f"{args.amount} is below zero", allowed=["positive"])
    await tx.run(ADD, ids=[args.ticket_id], amounts=[args.amount])
    tx.publish(Booked(ticket_id=args.ticket_id, amount=args.amount))
    return Answer(200, {"booked": args.amount})


router = APIRouter()


@router.post("/v1/accounts/{ticket_id}/deposits")
async def post(
    request: Request, ticket_id: UUID, body: DepositBody, who: Annotated[Caller, caller("agent")]
) -> Response:
    """Deposit by HTTP."""
    return await command(request, book, Deposit(ticket_id, body.amount), key=str(ticket_id), body=body)


probe = Service(
    name="probe",
    hears={Deposited: deposit, Withdrawn: withdraw},
    says=(Booked,),
    serves=router,
    receives={"probe.raw": receive},
)

TABLES = (
    "CREATE TABLE IF NOT EXISTS account (ticket_id uuid PRIMARY KEY, total bigint NOT NULL, seen bigint[] NOT NULL)",
    "CREATE TABLE IF NOT EXISTS raw (body bytea)",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON account, raw TO zhida_probe",
)


@asynccontextmanager
async def made(database: str, *, service: Service = probe, **settings: Any) -> AsyncIterator[Harness]:
    """The probe with its tables in that (empty or earlier used) database."""
    async with harness(service, database, **settings) as harnessed:
        owner = db.engine(database, "probe", None, "tests")
        async with owner.begin() as connection:
            for statement in TABLES:
                await connection.execute(text(statement))
        await owner.dispose()
        yield harnessed


@pytest.fixture
async def h(database: str) -> AsyncIterator[Harness]:
    """The probe on an empty database."""
    async with made(database) as harnessed:
        yield harnessed
