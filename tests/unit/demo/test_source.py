"""Tickets out of any CSV file, and what the platform publishes of them."""

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from demo import publisher, source
from demo.source import SourceError
from services.intake.domain.submission import Invalid, check, parse

OWN = Path(source.__file__).parent / "tickets.csv"
NOW = datetime(2026, 11, 22, tzinfo=UTC)


def written(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "some tickets.csv"
    path.write_bytes(text.encode(encoding))
    return path


def test_the_own_tickets_are_taken_as_made_now() -> None:
    tickets = source.read(OWN)
    assert len(tickets) == 300
    assert not [ticket for ticket in tickets if "opened_at" in ticket]
    assert {ticket.get("agent_id") for ticket in tickets} > {"A1003", None}


def test_a_file_of_messages_gets_channel_agents_titles_and_numbers(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "message_id,title,body,created_at,text\n"
        "24,路灯,路灯坏了,2020-01-06 12:09:38,路灯路灯坏了\n"
        ",,,,公交车太少。请加车\n",
    )
    first, second = source.read(path)
    assert first == {
        "channel": "12345", "external_ref": "24", "agent_id": "C01", "title": "路灯", "text": "路灯坏了"
    }  # fmt: skip
    assert second["title"] == "公交车太少"
    assert second["external_ref"].startswith("row-")
    assert second["agent_id"] == "C02"


def test_a_file_in_the_older_chinese_encoding_is_read(tmp_path: Path) -> None:
    assert source.read(written(tmp_path, "编号,内容\n1,路灯坏了\n", "gb18030"))[0]["text"] == "路灯坏了"


def test_only_so_many_tickets_are_read_as_were_asked_for() -> None:
    assert len(source.read(OWN, 60)) == 60


@pytest.mark.parametrize(
    ("text", "reason"),
    [("name,phone\n张,1\n", "no column holds the request's text"), ("text\n", "holds no row")],
)
def test_a_file_without_tickets_is_refused_with_the_reason(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(SourceError, match=reason):
        source.read(written(tmp_path, text))


def test_every_ticket_is_published_once_and_nuisance_strewn_among_them() -> None:
    tickets = source.read(OWN)
    records = publisher.records(tickets, seed=1)
    assert Counter(record.kind for record in records) == {"ticket": 300, "repeat": 6, "conflict": 2, "bad": 6}
    assert [json.loads(record.value) for record in records if record.kind == "ticket"] == tickets
    assert records == publisher.records(tickets, seed=1)


def test_repeats_and_contradictions_come_behind_their_ticket() -> None:
    records = publisher.records(source.read(OWN), seed=1)
    first: dict[str, bytes] = {}
    for record in records:
        match record.kind:
            case "ticket":
                first[record.reference] = record.value
            case "repeat":
                assert first[record.reference] == record.value
            case "conflict":
                assert first[record.reference] != record.value


def test_each_bad_record_is_one_that_intake_refuses() -> None:
    for record in publisher.records(source.read(OWN, 1), seed=1):
        if record.kind == "bad":
            with pytest.raises(Invalid):
                check(parse(record.value), NOW)


def test_one_ticket_alone_can_be_played() -> None:
    records = publisher.records(source.read(OWN, 1), seed=1)
    assert Counter(record.kind for record in records) == {"ticket": 1, "repeat": 1, "bad": 6}
