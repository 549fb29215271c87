"""What simulated departments say: Chinese texts from a data file, chosen by what the request is about."""

import json
import random
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True, slots=True)
class Group:
    """Answers for one kind of request."""

    words: tuple[str, ...]  # the more of them a request holds, the better the group fits; none: fits anything
    resolution: str
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReturnReason:
    """Why a department says "not ours"."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Speech:
    """Everything a simulated department can say."""

    answers: tuple[Group, ...]
    contacts: tuple[str, ...]  # notes on the first contact with the customer
    questions: tuple[str, ...]  # to the agent
    replies: tuple[str, ...]  # to the agent's questions
    returns: tuple[ReturnReason, ...]
    evidence: tuple[tuple[str, str], ...]  # kind, file name
    rulings: tuple[tuple[str, str], ...]  # decision, note

    def answer(self, about: str, choice: random.Random) -> tuple[str, str]:
        """An answer to a request, and its resolution. `about`: situation, category, title and text in one."""
        best = max(self.answers, key=lambda group: sum(word in about for word in group.words))
        return choice.choice(best.texts), best.resolution

    def ruling(self, decision: str, choice: random.Random) -> str:
        """A note for the ruling."""
        return choice.choice([note for kind, note in self.rulings if kind == decision])


@cache
def speech() -> Speech:
    """The texts of speech.zh-CN.json."""
    data = json.loads(resources.files(__package__).joinpath("speech.zh-CN.json").read_text(encoding="utf-8"))
    return Speech(
        answers=tuple(
            Group(tuple(group["words"]), group["resolution"], tuple(group["texts"])) for group in data["answers"]
        ),
        contacts=tuple(data["contacts"]),
        questions=tuple(data["questions"]),
        replies=tuple(data["replies"]),
        returns=tuple(ReturnReason(reason["code"], reason["text"]) for reason in data["returns"]),
        evidence=tuple((item["kind"], item["file"]) for item in data["evidence"]),
        rulings=tuple((item["decision"], item["note"]) for item in data["rulings"]),
    )
