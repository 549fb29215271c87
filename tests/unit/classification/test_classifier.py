"""A matrix alone, and with a model: situation, route, words, thresholds."""

import csv
import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from libs.shared.contracts.intake import Ticket
from services.classification import packs
from services.classification.domain import fact, pack
from services.classification.domain.classifier import Classifier, LabelError, label_situations
from services.classification.domain.feature import Vocabulary, counts
from services.classification.domain.linear import Model
from services.classification.domain.text import Reading

POWER = pack.read(packs.text("power_95598"))
CITY = pack.read(packs.text("city_12345"))
COLD = Classifier(POWER)


def plain_words() -> Iterator[tuple[str, str, str, str]]:
    """Pack, situation, title and text of tickets in customers' own words."""
    for path in sorted(Path(__file__).parent.glob("cold_start_*.csv")):
        with path.open(encoding="utf-8") as file:
            for row in csv.DictReader(file):
                yield path.stem.removeprefix("cold_start_"), row["situation"], row["title"], row["text"]


@cache
def cold(name: str) -> Classifier:
    return Classifier(packs.read(name))


def ticket(title: str, text: str) -> Ticket:
    return Ticket(channel="95598", external_ref="1", title=title, text=text, opened_at=datetime.now(UTC))


def model(matrix_labels: tuple[str, ...], word_of: dict[str, str]) -> Model:
    """A model that knows one word for each label."""
    vocabulary = Vocabulary.of([counts(Reading.of("", word)) for word in word_of.values()], 1000)
    weights = np.zeros((vocabulary.size, len(matrix_labels)), np.float32)
    for label, word in word_of.items():
        weights[vocabulary.words[0].index(word), matrix_labels.index(label)] = 5.0
    ones = np.ones_like(weights)
    nothing = np.zeros(len(matrix_labels), np.float32)
    mix = np.eye(len(matrix_labels), dtype=np.float32) * 5
    return Model(matrix_labels, vocabulary, ones, weights, nothing, mix, nothing)


@pytest.mark.parametrize(("name", "situation", "title", "text"), list(plain_words()))
def test_cold_start_finds_the_situation_of_plain_words(name: str, situation: str, title: str, text: str) -> None:
    verdict = cold(name).classify(ticket(title, text))
    assert verdict.situation.code == situation
    assert verdict.sure
    assert verdict.words


@pytest.mark.parametrize("text", ["在吗", "能不能快点", "我对你们有意见，反正就是不舒服", "abc", "……", "13800000001"])
def test_text_that_says_nothing_waits_for_a_person(text: str) -> None:
    verdict = COLD.classify(ticket("", text))
    assert not verdict.sure
    assert len(verdict.candidates) == 5


def test_probability_is_that_of_the_route_and_the_situation_the_best_in_it() -> None:
    judged = COLD.judge(Reading.of("", "电费账单和电费明细怎么查，缴费方式有哪些"))
    route = POWER.situations[judged.best].route
    inside = [share for share, each in zip(judged.probabilities, POWER.situations, strict=True) if each.route == route]
    assert judged.probability == pytest.approx(sum(inside))
    assert max(inside) == judged.probabilities[judged.best]
    assert judged.probabilities.sum() == pytest.approx(1)


def test_model_decides_between_its_labels_and_the_matrix_inside_one() -> None:
    names = tuple(department.name for department in CITY.departments)
    learned = Classifier(CITY, model(names, {"卫生计生": "奇葩", "交通运输": "麒麟"}))
    verdict = learned.classify(ticket("", "奇葩 疫苗"))
    assert verdict.situation.code == "H02-1"
    assert verdict.words[0] == "疫苗"
    assert "奇葩" in verdict.words
    assert learned.classify(ticket("", "麒麟 疫苗")).situation.path[0] == "交通运输"


def test_situation_that_no_label_covers_is_still_found_by_the_matrix() -> None:
    learned = Classifier(POWER, model(("E02-1", "E02-2"), {"E02-1": "奇葩", "E02-2": "麒麟"}))
    assert learned.classify(ticket("", "配电箱冒火花，怕有人触电")).situation.code == "B06-2"


def test_words_never_hold_a_number() -> None:
    names = tuple(department.name for department in CITY.departments)
    learned = Classifier(CITY, model(names, {"卫生计生": "奇葩"}))
    verdict = learned.classify(ticket("13800000001", "奇葩 13800000001 440000190001010011 138****0001"))
    assert not any(character.isdigit() or character == "*" for word in verdict.words for character in word)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (("B04-1", "没有这个"), "没有这个"),
        (("B04", "B04-1"), "'B04' and 'B04-1' both cover situation B04-1"),
    ],
)
def test_labels_that_do_not_fit_the_matrix_are_named(labels: tuple[str, ...], message: str) -> None:
    with pytest.raises(LabelError, match=message):
        label_situations(POWER, labels)


def test_stricter_thresholds_send_more_to_a_person() -> None:
    strict = replace(POWER, rules=replace(POWER.rules, review=replace(POWER.rules.review, probability=1.0)))
    assert not Classifier(strict).classify(ticket("", next(plain_words())[3])).sure


def test_decision_of_a_person_is_certain_and_keeps_what_the_person_said() -> None:
    verdict = fact.decided(ticket("", "触电了"), POWER, "E02-1", "complaint", None)
    assert (verdict.situation.code, verdict.probability, verdict.business_type) == ("E02-1", 1.0, "complaint")
    assert verdict.urgency == "urgent"
    assert fact.decided(ticket("", "触电了"), POWER, "E02-1", None, "normal").urgency == "normal"


def test_classifying_and_the_cold_start_need_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise AssertionError("asks the network")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    verdict = Classifier(packs.read("power_95598")).classify(ticket("没电", "家里突然没电了，电表不亮，请派人抢修"))
    assert verdict.situation.code == "C04-1"
