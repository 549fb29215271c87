"""Rules that are data of the pack: business type, object of a complaint, urgency, grievance risk (投诉倾向)."""

from dataclasses import dataclass
from datetime import timedelta

from libs.shared.contracts.classification import Risk, Urgency
from libs.shared.contracts.intake import BusinessType, Channel, ComplaintObject, Star, Ticket

from .text import contains_any


@dataclass(frozen=True, slots=True)
class TypeWords:
    """Words that speak for a business type; of a pack's rules the first that matches counts."""

    type: BusinessType
    words: tuple[str, ...]


Shares = tuple[tuple[BusinessType, float], ...]


@dataclass(frozen=True, slots=True)
class PairRule:
    """What decides between business types, together with the situation; figures are ours, for the operator to edit.

    Counted are two: in categories of a district's hotline that mostly come as complaints, 3 inquiries and 2 suggestions
    came for 100 complaints; in those that mostly come as inquiries, 30 complaints and 10 suggestions for 100 of them.
    """

    chosen: float = 60.0  # times likelier is the type that the agent chose
    spoken: float = 20.0  # times likelier is a type that its words speak for, where `words` does not say
    other: float = 0.02  # times a situation comes as another type, against once as its usual one; else `comes_as`
    words: Shares = (("complaint", 60.0), ("report", 60.0), ("suggestion", 40.0), ("fault", 6.0), ("inquiry", 6.0))
    comes_as: tuple[tuple[BusinessType, Shares], ...] = (
        ("inquiry", (("service_request", 0.3), ("complaint", 0.3), ("opinion", 0.2), ("suggestion", 0.1))),
        ("opinion", (("inquiry", 0.6), ("complaint", 0.3), ("suggestion", 0.2), ("report", 0.1), ("fault", 0.3))),
        ("suggestion", (("opinion", 0.5), ("inquiry", 0.2), ("complaint", 0.2))),
        ("complaint", (("opinion", 0.5), ("report", 0.1), ("fault", 0.1), ("inquiry", 0.03))),
        ("report", (("complaint", 0.3), ("opinion", 0.2))),
        ("praise", (("opinion", 0.05), ("suggestion", 0.05))),
        ("service_request", (("inquiry", 0.8), ("complaint", 0.2), ("opinion", 0.2), ("suggestion", 0.05))),
        ("fault", (("complaint", 0.2), ("opinion", 0.1))),
    )


@dataclass(frozen=True, slots=True)
class RiskWords:
    """Words worth that many points, each group counted once."""

    points: int
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RiskRule:
    """Grievance risk is a sum of points; from `high_from` on the supervisor is told at once."""

    high_from: int
    sensitive_points: int
    complaint_points: int
    channels: tuple[tuple[Channel, int], ...]
    words: tuple[RiskWords, ...]
    repeat_points: int = 0  # for each ticket of the chain that this one repeats


@dataclass(frozen=True, slots=True)
class ReviewRule:
    """When a ticket waits for a person, and how long it may: of all minutes that apply to it the fewest (就高原则)."""

    probability: float  # of the best route; below it a person is asked
    margin: float  # to the second best; the same
    minutes: int = 240  # any ticket; these figures are ours, for the operator to edit
    urgent_minutes: int = 15
    high_risk_minutes: int = 30
    channel_minutes: tuple[tuple[Channel, int], ...] = ()
    star_minutes: tuple[tuple[Star, int], ...] = ()


@dataclass(frozen=True, slots=True)
class RepeatRule:
    """When a ticket repeats an earlier one; shares of pairs of characters that the two texts have in common, 0-1.

    Two messages of one customer share 0.09 in the middle, of strangers 0.01, and one in a thousand of those 0.09.
    """

    days: int = 30  # at most between two tickets of a chain
    customer: float = 0.2  # of the same customer
    place: float = 0.2  # of the same area code and address
    area: float = 0.6  # of the same area code, where one has no address and one no customer


@dataclass(frozen=True, slots=True)
class HotEventRule:
    """When tickets about one cause are a hot event (突发聚集)."""

    least: int = 5  # members
    minutes: int = 60  # in which they come
    times: float = 3.0  # as many as is usual for category, place and hour of the week
    alike: float = 0.25  # a member's text to what the members say (cosine), 0-1
    place_digits: int = 9  # of the area code that make one place
    calm_minutes: int = 120  # without more tickets than usual until it closes
    fold_from: int = 20  # members; 0: only by a person's word


@dataclass(frozen=True, slots=True)
class Rules:
    """All rules of a pack; every word is normalised as the text is."""

    business_types: tuple[TypeWords, ...]
    internal_words: tuple[str, ...]
    urgent_words: tuple[str, ...]
    risk: RiskRule
    review: ReviewRule
    repeat: RepeatRule = RepeatRule()
    hot_event: HotEventRule = HotEventRule()
    pair: PairRule = PairRule()


def complaint_object(rules: Rules, ticket: Ticket, text: str, usual: ComplaintObject) -> ComplaintObject:
    """Internal (对内) where the hotline's own staff is named; what the agent chose goes before all."""
    if ticket.complaint_object is not None:
        return ticket.complaint_object
    return "internal" if contains_any(text, rules.internal_words) else usual


def urgency(rules: Rules, ticket: Ticket, text: str, kind: BusinessType, usual: Urgency) -> Urgency:
    """Urgent by the situation, by danger words, or when a sensitive customer (特殊群体) has a fault."""
    if contains_any(text, rules.urgent_words) or (ticket.customer.sensitive and kind == "fault"):
        return "urgent"
    return usual


def review_limit(rules: Rules, ticket: Ticket, urgency: Urgency, risk: Risk) -> timedelta:
    """How long the ticket may wait for a person, from when one is asked."""
    rule = rules.review
    minutes = [rule.minutes]
    minutes += [rule.urgent_minutes] if urgency == "urgent" else []
    minutes += [rule.high_risk_minutes] if risk == "high" else []
    minutes += [limit for channel, limit in rule.channel_minutes if channel == ticket.channel]
    minutes += [limit for star, limit in rule.star_minutes if star == ticket.customer.star]
    return timedelta(minutes=min(minutes))


def risk_points(rules: Rules, ticket: Ticket, text: str, kind: BusinessType) -> int:
    """Points of grievance risk from wording, channel, customer and type."""
    rule = rules.risk
    points = sum(group.points for group in rule.words if contains_any(text, group.words))
    points += dict(rule.channels).get(ticket.channel, 0)
    points += rule.sensitive_points if ticket.customer.sensitive else 0
    points += rule.complaint_points if kind == "complaint" else 0
    return points


def risk(rules: Rules, points: int, repeats: int = 0) -> Risk:
    """Grievance risk from those points and from how many tickets this one repeats."""
    return "high" if points + repeats * rules.risk.repeat_points >= rules.risk.high_from else "normal"
