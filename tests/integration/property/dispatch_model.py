"""What dispatch must do, said once more and as plainly as possible, out of the domain's description alone: the oracle.

A ticket is changed by one act at a time; each gives the HTTP status it must have and the facts it must say. Work orders
and questions are named by their place in the ticket, because their ids are the service's own affair.
"""

from dataclasses import dataclass, field, replace
from typing import Any, Literal

Said = tuple[Any, ...]  # name of the event, then what matters of it
Outcome = tuple[int, list[Said]]  # HTTP status and facts

OPEN = ("assigned", "accepted", "reopened", "returned")  # something is still to be done
GONE = ("reassigned", "cancelled")  # no share in the ticket any more
LEGAL = {  # move → the states of a work order in which it is possible
    "accept": ("assigned", "accepted", "reopened"),
    "contacted": ("accepted",),
    "return": ("assigned", "accepted", "reopened"),
    "questions": ("assigned", "accepted", "reopened"),
    "evidence": (*OPEN, "answered", "closed"),
    "answer": ("accepted",),
    "uphold": ("returned",),
    "reject": ("returned",),
    "ask": (*OPEN, "answered"),
    "close": (*OPEN, "answered"),
    "reopen": ("answered", "closed"),
    "cancel": OPEN,
    "reassign": OPEN,
}


@dataclass(eq=False)
class Order:
    """One department's share."""

    department: str
    state: str = "assigned"
    returns: int = 0
    back: str = ""  # the state a rejected return leads back to
    contacted: bool = False
    answer: str | None = None
    judge: tuple[Literal["lead", "supervisor"], str] | None = None  # of the return that waits for a ruling
    suggested: str | None = None

    @property
    def allowed(self) -> set[str]:
        """The moves that are legal now; a share is returned twice at most."""
        return {
            move for move, states in LEGAL.items() if self.state in states and (move != "return" or self.returns < 2)
        }


@dataclass
class Question:
    """Between the agent and one department."""

    order: int
    asked_by: Literal["agent", "department"]
    asker: str
    reply: str | None = None


@dataclass
class Ticket:
    """One ticket and all its rules."""

    lead: str
    policy: Literal["all", "any", "lead"]
    agent: str
    reachable: frozenset[str]  # departments with an endpoint: to the others nothing is sent
    known: frozenset[str]  # departments that exist
    state: str = "open"
    round: int = 1
    orders: list[Order] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)
    messages: int = 0
    rulings: int = 0
    transfers: int = 0
    under_way: list[tuple[str, int, str]] = field(default_factory=list)  # webhooks: department, order, type
    closed_as: bool | None = None  # how satisfied the customer was when it was closed
    diverted: set[str] = field(default_factory=set)  # departments that work from their inbox only

    # -- events in

    def classify(self, departments: list[str], lead: str, policy: Literal["all", "any", "lead"]) -> list[Said]:
        """The first time: a share for each. Again, while open: who has a share keeps it, who has answered too."""
        wanted = list(dict.fromkeys(departments))
        if not self.orders:
            return [self._assign(department) for department in wanted]
        if self.state != "open":
            return []
        self.lead, self.policy = lead, policy
        shares = [order for order in self.orders if order.state not in GONE]
        dropped = [order for order in shares if order.department not in wanted and order.state != "answered"]
        new = [department for department in wanted if department not in {order.department for order in shares}]
        said: list[Said] = []
        for order in dropped:
            order.state, order.judge = "cancelled", None
            said.append(("WorkOrderCancelled", self.orders.index(order)))
        self._stop([self.orders.index(order) for order in dropped])
        said += [self._assign(department) for department in new]
        self.transfers += min(len(dropped), len(new))
        return said + self._conclude()

    def amend(self) -> list[Said]:
        """What the customer adds goes to all who have a share."""
        if self.state != "closed":
            for place, order in enumerate(self.orders):
                if order.state not in GONE:
                    self._send(place, "amended")
        return []

    def late(self, place: int) -> list[Said]:
        """The time to accept is (nearly) over: what no webhook brought is left to the inbox, for good."""
        department = self.orders[place].department
        if not any(order == place and kind in ("assigned", "reopened") for _, order, kind in self.under_way):
            return []
        failed = dict.fromkeys(order for to, order, _ in self.under_way if to == department)
        self.under_way = [each for each in self.under_way if each[0] != department]
        self.diverted.add(department)
        return [("DeliveryFailed", order) for order in sorted(failed)]

    def unruled(self, place: int) -> list[Said]:
        """The lead's time to rule is over: the case goes to the supervisor."""
        if self.orders[place].judge:
            self.orders[place].judge = ("supervisor", "chief")
        return []

    # -- all of a department's go to another

    def reassign(self, source: str, target: str) -> list[Said]:
        """Without a court; where the other has a share, all stays. A return without a ruling does not count."""
        said: list[Said] = []
        for place, order in enumerate(list(self.orders)):
            shares = {each.department for each in self.orders if each.state not in GONE}
            if order.department == source and "reassign" in order.allowed and target not in shares:
                returns = order.returns - (order.state == "returned")
                order.state, order.judge = "reassigned", None
                self.transfers += 1
                self._stop([place])
                said += [("WorkOrderCancelled", place), self._assign(target, place, returns)]
        return said + self._conclude()

    # -- commands of departments

    def accept(self, place: int) -> Outcome:
        """Taking on twice changes nothing."""
        order = self.orders[place]
        if "accept" not in order.allowed:
            return 409, []
        before, order.state = order.state, "accepted"
        return 200, [] if before == "accepted" else [("WorkOrderAccepted", place)]

    def contacted(self, place: int) -> Outcome:
        """Only the first contact is a fact."""
        order = self.orders[place]
        if "contacted" not in order.allowed:
            return 409, []
        before, order.contacted = order.contacted, True
        return 200, [] if before else [("WorkOrderContacted", place)]

    def give_back(self, place: int, suggested: str | None) -> Outcome:
        """The lead rules on the first return, the supervisor on a second one and on the lead's own."""
        order = self.orders[place]
        if "return" not in order.allowed:
            return 409, []
        if suggested is not None and (suggested == order.department or suggested not in self.known):
            return 422, []
        second = order.returns > 0 or order.department == self.lead
        judge = self.lead if not second else "chief"
        order.judge = ("supervisor", judge) if second else ("lead", judge)
        order.back, order.state, order.suggested = order.state, "returned", suggested
        order.returns += 1
        if not second:
            self._send(place, "opened", to=self.lead)
        return 200, [("WorkOrderReturned", place, judge, suggested)]

    def question(self, place: int, text: str) -> Outcome:
        """Straight to the agent."""
        if "questions" not in self.orders[place].allowed:
            return 409, []
        self.messages += 1
        department = self.orders[place].department
        self.questions.append(Question(place, "department", department))
        return 201, [("QuestionAsked", place, len(self.questions) - 1, "department", department, self.agent, text)]

    def evidence(self, place: int) -> Outcome:
        """Welcome as long as there is a share, also later."""
        return (201, [("EvidenceAdded", place)]) if "evidence" in self.orders[place].allowed else (409, [])

    def answer(self, place: int, text: str) -> Outcome:
        """The answer that meets the join policy makes the ticket answered, once a round."""
        order = self.orders[place]
        if order.state == "answered" and order.answer == text:
            return 200, []
        if "answer" not in order.allowed:
            return 409, []
        order.state, order.answer = "answered", text
        return 200, [("WorkOrderAnswered", place, text), *self._conclude()]

    def rule(self, place: int, decision: str, to: str | None, by: str, scope: str) -> Outcome:
        """By whoever judges; upheld it goes to another department, rejected it is back where it was."""
        order = self.orders[place]
        if scope == "department" and by not in (order.department, self.lead):
            return 404, []
        if order.judge is None:
            return 409, []
        kind, judge = order.judge
        if (kind == "lead" and by != judge) or (kind == "supervisor" and scope != "supervise"):
            return 403, []
        target = to or order.suggested
        if decision == "uphold" and (target is None or target == order.department or target not in self.known):
            return 422, []
        self.rulings += 1
        order.judge = None
        if kind == "supervisor":
            order.returns = 2  # that ruling is final
        if decision == "reject":
            order.state = order.back
            self._send(place, "ruled")
            return 200, [("ReturnRuled", place, "reject", by, None)]
        assert target is not None
        order.state = "reassigned"
        self.transfers += 1
        self._overtake([place])
        self._send(place, "ruled")
        said: list[Said] = [("ReturnRuled", place, "uphold", by, target)]
        if target not in {each.department for each in self.orders if each.state not in GONE}:
            said.append(self._assign(target, place, order.returns))
        return 200, said + self._conclude()

    # -- commands of the agent

    def ask(self, department: str | None, place: int | None, by: str, text: str) -> Outcome:
        """To one work order, one department, or all that can be asked; one fact each."""
        if place is not None:
            asked = [place]
            if "ask" not in self.orders[place].allowed:
                return 409, []
        else:
            able = [n for n, order in enumerate(self.orders) if "ask" in order.allowed]
            asked = [n for n in able if department in (None, self.orders[n].department)]
            if not asked:
                return (409 if department is None else 422), []
        self.messages += 1
        said: list[Said] = []
        for each in asked:
            self.questions.append(Question(each, "agent", by))
            said.append(("QuestionAsked", each, len(self.questions) - 1, "agent", by, by, text))
            self._send(each, "asked")
        return 201, said

    def reply(self, number: int, text: str, by: str, scope: str) -> Outcome:
        """By the one who was asked, to the one who asked; the same reply twice changes nothing."""
        question = self.questions[number]
        department = self.orders[question.order].department
        if question.asked_by == "department" and scope != "agent":
            return 403, []
        if question.asked_by == "agent" and by != department:
            return 404, []
        if question.reply is not None:
            return (200 if question.reply == text else 409), []
        if self.state == "closed":
            return 409, []
        self.messages += 1
        question.reply = text
        to = question.asker if question.asked_by == "agent" else self.agent
        if question.asked_by == "department":
            self._send(question.order, "replied")
        return 200, [("QuestionAnswered", question.order, number, question.asked_by, to, text)]

    def close(self, satisfied: bool | None) -> Outcome:
        """Departments still at work are told to stop; the same once more changes nothing."""
        if self.state == "closed":
            return (200 if satisfied == self.closed_as else 409), []
        if self.state == "open" and satisfied is not None:
            return 422, []
        working = [n for n, order in enumerate(self.orders) if order.state in OPEN]
        for order in self.orders:
            if "close" in order.allowed:
                order.state, order.judge = "closed", None
        self.state, self.closed_as = "closed", satisfied
        self._stop(working)
        return 200, [("TicketClosed", satisfied)]

    def reopen(self) -> Outcome:
        """Back to all that had answered, and to those that had not when it was closed."""
        if self.state == "open":
            return 409, []
        self.state = "open"
        self.round += 1
        back = []
        for place, order in enumerate(self.orders):
            if "reopen" in order.allowed:
                self.orders[place] = replace(order, state="reopened", contacted=False)
                back.append(place)
                self._send(place, "reopened")
        return 200, [("TicketReopened", tuple(back))]

    # -- what they stand on

    def _conclude(self) -> list[Said]:
        shares = [(n, order) for n, order in enumerate(self.orders) if order.state not in GONE]
        answered = [(n, order.answer) for n, order in shares if order.state == "answered"]
        leading = [order for _, order in shares if order.department == self.lead]
        match self.policy:
            case "any":
                met = bool(answered)
            case "lead" if leading:
                met = all(order.state == "answered" for order in leading)
            case _:
                met = len(answered) == len(shares) > 0
        if self.state != "open" or not met:
            return []
        self.state = "answered"
        hops = 2 * self.round + 2 * self.rulings + self.messages
        return [("TicketAnswered", tuple(answered), self.policy, hops, self.transfers)]

    def _assign(self, department: str, instead_of: int | None = None, returns: int = 0) -> Said:
        self.orders.append(Order(department, returns=returns))
        place = len(self.orders) - 1
        self._send(place, "assigned")
        return "WorkOrderAssigned", place, department, self.lead, instead_of

    def _send(self, place: int, kind: str, to: str | None = None) -> None:
        department = to or self.orders[place].department
        if department in self.reachable and department not in self.diverted:
            self.under_way.append((department, place, kind))

    def _overtake(self, places: list[int]) -> None:
        self.under_way = [each for each in self.under_way if each[1] not in places]

    def _stop(self, places: list[int]) -> None:
        self._overtake(places)
        for place in places:
            self._send(place, "cancelled")
