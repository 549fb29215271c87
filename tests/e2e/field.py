"""Wrongs done to what a real run has left behind, each to a ticket of its own."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import orjson
from aiokafka import AIOKafkaProducer

from libs.shared.events import Envelope, header_pairs
from reconcile.book import Book, instant, micros
from reconcile.topic import bodies


@dataclass
class Field:
    """Where wrongs are planted: a copy of a run's tables and files, and its topics, which nobody reads any more."""

    book: Book  # of the run as it was
    database: Any
    kafka: str
    producer: AIOKafkaProducer
    files: dict[str, list[dict[str, Any]]]  # ledger, receipts, screens
    taken: set[UUID] = field(default_factory=set)

    def ticket(self, where: str = "1") -> UUID:
        """A ticket that nothing was done to yet, of a plain course. `where`: a condition on the book's ticket, t."""
        course = "(SELECT count(*) FROM said s WHERE s.ticket = t.ticket)"
        for (name,) in self.book.rows(f"SELECT t.ticket FROM ticket t WHERE {where} ORDER BY {course}, t.ticket"):
            if (found := UUID(bytes=name)) not in self.taken:
                self.taken.add(found)
                return found
        raise AssertionError(f"no ticket is left: {where}")

    async def run(self, sql: str, *values: Any) -> None:
        """A statement that changes something."""
        assert not (await self.database.execute(sql, *values)).endswith(" 0"), sql

    def drop(self, file: str, count: int | None = None, **like: Any) -> None:
        """Entries of a file that hold these values are gone; the first `count` where that is named."""
        found = [each for each in self.files[file] if all(each.get(name) == value for name, value in like.items())]
        assert found, (file, like)
        gone = {id(each) for each in found[:count]}
        self.files[file] = [each for each in self.files[file] if id(each) not in gone]

    def offers(self, ticket: UUID) -> list[dict[str, Any]]:
        """The ledger's lines about a ticket."""
        reference = self.book.one("SELECT reference FROM ticket WHERE ticket = :t", t=ticket.bytes)
        ids = {each["id"] for each in self.files["ledger"] if each.get("reference") == reference}
        return [each for each in self.files["ledger"] if each.get("id") in ids]

    async def say(self, ticket: UUID, kind: str, *, ahead: int = 0, drawn: bool = True, **changes: Any) -> None:
        """One more event like the ticket's first of that type, `ahead` versions further on than its service is."""
        source, at, place, body = await self.first(ticket, kind)
        await self.tell(ticket, kind, source, place[:2], {**body, **changes}, at=at + 1000, ahead=ahead, drawn=drawn)

    async def warn(self, ticket: UUID, share: float) -> None:
        """A clock of the ticket passes 50 %, when `share` of its time is over."""
        source, _, place, body = await self.first(ticket, "ClocksStarted")
        clock = body["clocks"][0]
        at = datetime.fromisoformat(clock["started_at"]) + timedelta(seconds=clock["limit_seconds"] * share)
        body = {"ticket_id": str(ticket), "clock": clock, "percent": 50}
        await self.tell(ticket, "ClockWarned", source, place[:2], body, at=micros(at) or 0)

    async def first(self, ticket: UUID, kind: str) -> tuple[str, int, tuple[str, int, int], dict[str, Any]]:
        """The ticket's first event of a type: its service, when, where it stands, what it says."""
        source, at, *place = next(self.book.rows(
            f"""SELECT service(source), at, topic(topic), partition, place FROM said
            WHERE type = :{kind} AND ticket = :t AND line = 0 ORDER BY version""", t=ticket.bytes,
        ))  # fmt: skip
        where = (place[0], place[1], place[2])
        found = await bodies({"bootstrap_servers": self.kafka}, [where])
        return source, at, where, found[where]

    async def tell(
        self,
        ticket: UUID,
        kind: str,
        source: str,
        part: tuple[str, int],
        body: Any,
        *,
        at: int,
        ahead: int = 0,
        drawn: bool = True,
    ) -> None:
        """An event under its service's next version, or one `ahead` of it."""
        statement = f"UPDATE {source}.stream SET version = version + $2 WHERE key = $1 RETURNING version"
        version = await self.database.fetchval(statement, str(ticket), int(drawn)) + ahead
        headers = header_pairs(f"zhida.{kind}.v1", Envelope(uuid4(), source, instant(at), version, ""))
        await self.send(*part, str(ticket), orjson.dumps(body), headers)

    async def send(self, topic: str, partition: int, key: str, value: bytes, headers: Any = ()) -> None:
        """A record at the end of a partition."""
        sent = {"key": key.encode(), "partition": partition, "headers": list(headers)}
        await self.producer.send_and_wait(topic, value, **sent)
