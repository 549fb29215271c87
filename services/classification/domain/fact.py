"""What is said about a ticket: the events, made of a verdict or of a person's decision."""

from dataclasses import replace
from datetime import datetime
from uuid import UUID

from libs.shared.contracts.classification import (
    Candidate,
    Department,
    HighRiskFound,
    ReviewRequested,
    TicketClassified,
    Urgency,
)
from libs.shared.contracts.classification import Situation as SaidSituation
from libs.shared.contracts.intake import BusinessType, Ticket

from . import pair, place, route, rule
from .classifier import Verdict
from .matrix import Matrix, Situation
from .repeat import NONE, Repeat
from .text import whole


def situation(found: Situation) -> SaidSituation:
    """A situation as events and answers name it."""
    return SaidSituation(code=found.code, name=found.name, path=found.path)


def department(matrix: Matrix, code: str) -> Department:
    """A department as events and answers name it."""
    return Department(code=code, name=matrix.department_by_code[code].name)


def candidates(matrix: Matrix, verdict: Verdict) -> tuple[Candidate, ...]:
    """What a reviewer may choose from at a glance, best first."""
    return tuple(
        Candidate(situation=situation(matrix.situations[matrix.by_code[code]]), probability=probability)
        for code, probability in verdict.candidates
    )


def requested(ticket_id: UUID, matrix: Matrix, verdict: Verdict) -> ReviewRequested:
    """Not sure enough: a person decides."""
    return ReviewRequested(ticket_id=ticket_id, urgency=verdict.urgency, candidates=candidates(matrix, verdict))


def risky(ticket_id: UUID, ticket: Ticket, verdict: Verdict, repeats: int) -> HighRiskFound:
    """The grievance risk is high."""
    return HighRiskFound(
        ticket_id=ticket_id,
        supervisor=verdict.situation.supervisor,
        situation=verdict.situation.name,
        title=ticket.title,
        channel=ticket.channel,
        star=ticket.customer.star,
        repeats=repeats,
    )


def classified(
    ticket_id: UUID,
    ticket: Ticket,
    matrix: Matrix,
    verdict: Verdict,
    *,
    at: datetime,
    by: str,
    model_version: str | None,
    repeat: Repeat = NONE,
    hot_event: UUID | None = None,
) -> TicketClassified:
    """The ticket has its situation, and its departments as of `at`.

    Args: `by`: model, matrix, hot_event or the reviewer's principal; `hot_event`: the folded one it is a member of.
    """
    found = verdict.situation
    located = place.locate(matrix, ticket)
    routes = route.routed(matrix, found, located.ticket, at)
    return TicketClassified(
        ticket_id=ticket_id,
        ticket=located.ticket,
        place_words=located.words,
        business_type=verdict.business_type,
        complaint_object=verdict.complaint_object,
        situation=situation(found),
        lead_department=department(matrix, found.lead),
        executing_departments=tuple(department(matrix, code) for code in route.executing(routes)),
        routed_by=tuple(dict.fromkeys(each.rule for each in routes if each.rule)),
        supervisor=found.supervisor,
        sla_class=found.sla_class,
        join_policy=found.join_policy,
        urgency=verdict.urgency,
        risk=verdict.risk,
        matrix_version=matrix.version,
        model_version=model_version,
        probability=verdict.probability,
        margin=verdict.margin,
        words=verdict.words,
        decided_by=by,
        repeat_of=repeat.first,
        repeats=repeat.repeats,
        hot_event=hot_event,
    )


def repeated(matrix: Matrix, verdict: Verdict, repeats: int) -> Verdict:
    """The verdict with the grievance risk that so many tickets before it give."""
    return replace(verdict, risk=rule.risk(matrix.rules, verdict.points, repeats)) if repeats else verdict


def decided(
    ticket: Ticket,
    matrix: Matrix,
    code: str,
    business_type: BusinessType | None,
    urgency: Urgency | None,
    *,
    repeats: int = 0,
) -> Verdict:
    """A person's decision as a verdict: certain; what the person left open is found as for any ticket."""
    found = matrix.situations[matrix.by_code[code]]
    text = whole(ticket.title, ticket.text)
    kind = business_type or pair.business_type(matrix.rules, ticket, text, found.business_type)
    points = rule.risk_points(matrix.rules, ticket, text, kind)
    return Verdict(
        situation=found,
        probability=1.0,
        margin=1.0,
        words=(),
        candidates=(),
        business_type=kind,
        complaint_object=rule.complaint_object(matrix.rules, ticket, text, found.complaint_object),
        urgency=urgency or rule.urgency(matrix.rules, ticket, text, kind, found.urgency),
        risk=rule.risk(matrix.rules, points, repeats),
        sure=True,
        points=points,
    )
