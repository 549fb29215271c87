"""Object of a complaint, urgency and grievance risk, by the rules of a pack: tables."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from libs.shared.contracts.classification import Risk, Urgency
from libs.shared.contracts.intake import BusinessType, ComplaintObject, Customer, Ticket
from services.classification import packs
from services.classification.domain import pack, rule

RULES = pack.read(packs.text("power_95598")).rules


def ticket(**fields: Any) -> Ticket:
    return Ticket.model_validate(
        {"channel": "95598", "external_ref": "1", "title": "", "text": "", "opened_at": datetime.now(UTC)} | fields
    )


@pytest.mark.parametrize(
    ("chosen", "text", "usual", "expected"),
    [
        (None, "接线员态度差", "external", "internal"),
        (None, "抢修师傅态度差", "external", "external"),
        (None, "一直没有派单", "internal", "internal"),
        ("external", "接线员态度差", "internal", "external"),
    ],
)
def test_object_of_a_complaint_is_internal_where_the_hotlines_own_staff_is_named(
    chosen: ComplaintObject | None, text: str, usual: ComplaintObject, expected: ComplaintObject
) -> None:
    assert rule.complaint_object(RULES, ticket(complaint_object=chosen), text, usual) == expected


@pytest.mark.parametrize(
    ("text", "kind", "sensitive", "usual", "expected"),
    [
        ("电线着火了", "opinion", False, "normal", "urgent"),
        ("家里有呼吸机", "inquiry", False, "normal", "urgent"),
        ("家里没电", "fault", True, "normal", "urgent"),
        ("查电费", "inquiry", True, "normal", "normal"),
        ("家里没电", "fault", False, "urgent", "urgent"),
    ],
)
def test_urgency(text: str, kind: BusinessType, sensitive: bool, usual: Urgency, expected: Urgency) -> None:
    found = rule.urgency(RULES, ticket(customer=Customer(sensitive=sensitive)), text, kind, usual)
    assert found == expected


@pytest.mark.parametrize(
    ("fields", "text", "kind", "repeats", "expected"),
    [
        ({}, "停电了", "fault", 2, "normal"),
        ({}, "停电了", "fault", 3, "high"),
        ({}, "停电了", "fault", 0, "normal"),
        ({}, "再不处理我就找记者曝光", "fault", 0, "high"),
        ({"channel": "12398"}, "停电了", "opinion", 0, "high"),
        ({"channel": "12345"}, "停电了", "opinion", 0, "normal"),
        ({"channel": "12345"}, "停电了", "complaint", 0, "high"),
        ({}, "多次反映，没人管", "opinion", 0, "high"),
        ({}, "多次反映", "complaint", 0, "normal"),
        ({"customer": Customer(sensitive=True)}, "多次反映", "complaint", 0, "high"),
    ],
)
def test_grievance_risk_is_wording_repeats_channel_customer_and_type(
    fields: dict[str, Any], text: str, kind: BusinessType, repeats: int, expected: Risk
) -> None:
    points = rule.risk_points(RULES, ticket(**fields), text, kind)
    assert rule.risk(RULES, points, repeats) == expected


@pytest.mark.parametrize(
    ("fields", "urgency", "risk", "minutes"),
    [
        ({}, "normal", "normal", 240),
        ({}, "urgent", "normal", 15),
        ({}, "normal", "high", 30),
        ({}, "urgent", "high", 15),
        ({"channel": "12398"}, "normal", "normal", 60),
        ({"channel": "12345"}, "normal", "normal", 120),
        ({"channel": "12398"}, "normal", "high", 30),
        ({"customer": Customer(star=5)}, "normal", "normal", 60),
        ({"customer": Customer(star=4)}, "normal", "normal", 120),
        ({"channel": "12345", "customer": Customer(star=5)}, "normal", "normal", 60),
    ],
)
def test_of_all_limits_of_a_review_the_shortest_holds(
    fields: dict[str, Any], urgency: Urgency, risk: Risk, minutes: int
) -> None:
    assert rule.review_limit(RULES, ticket(**fields), urgency, risk) == timedelta(minutes=minutes)
