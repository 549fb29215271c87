"""Learning: near duplicates kept together, unseen hold-out, a safe file form, a fair comparison with the old model."""

import io
import json
import pickle
import random
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from libs.shared.contracts.intake import BusinessType
from services.classification import packs
from services.classification.domain import linear, pack, training
from services.classification.domain.classifier import Classifier
from services.classification.domain.evaluation import compare, evaluate
from services.classification.domain.group import digest, groups
from services.classification.domain.score import report
from services.classification.domain.text import Reading, words

CITY = pack.read(packs.text("city_12345"))
TOPICS = {
    "环境保护": ["油烟", "噪音", "废水", "粉尘", "焚烧", "臭气", "污染", "养猪场"],
    "交通运输": ["公交车", "出租车", "高铁", "公路", "驾校", "堵车", "客运站", "司机"],
    "教育文体": ["学校", "老师", "补课", "高考", "幼儿园", "学生", "教师", "学区"],
}
PLACES = ["东门", "西街", "南湖", "北桥", "中山路", "新村", "老城", "河边", "山上", "广场"]


def corpus(rows: int, seed: int = 0, noise: float = 0.0) -> tuple[list[str], list[str]]:
    """Texts of four words of their topic and three places; some with a wrong label."""
    chance = random.Random(seed)
    texts, labels = [], []
    for number in range(rows):
        label = list(TOPICS)[number % 3]
        cut = chance.sample(TOPICS[label], 4) + chance.sample(PLACES, 3)
        chance.shuffle(cut)
        texts.append(" ".join(cut))
        labels.append(chance.choice(list(TOPICS)) if chance.random() < noise else label)
    return texts, labels


def silent(what: str, share: float) -> None:
    assert what
    assert 0 <= share <= 1


TEXTS, LABELS = corpus(240)
TRAINED = training.train(TEXTS, LABELS, None, silent)


def test_model_learns_and_is_judged_on_groups_it_has_not_seen() -> None:
    assert TRAINED.report.rows == 240
    assert TRAINED.report.macro_f1 > 0.95
    probabilities, reasons = TRAINED.model.predict(Reading.of("", "北桥 的 出租车 和 公交车 司机"))
    assert TRAINED.model.labels[int(probabilities.argmax())] == "交通运输"
    assert set(reasons) <= {"北桥", "出租车", "公交车", "司机"}
    assert reasons[0] in {"出租车", "公交车", "司机"}
    assert probabilities.sum() == pytest.approx(1)


def test_text_without_a_known_word_is_not_certain() -> None:
    probabilities, reasons = TRAINED.model.predict(Reading.of("", ""))
    assert reasons == ()
    assert probabilities.max() < 0.9


def test_two_labels_or_very_many_have_one_temperature() -> None:
    two = [row for row, label in enumerate(LABELS) if label != "交通运输"]
    trained = training.train([TEXTS[row] for row in two], [LABELS[row] for row in two], None, silent)
    assert np.allclose(trained.model.mix, np.eye(2) * trained.model.mix[0, 0])
    assert trained.report.macro_f1 > 0.95


def test_same_rows_in_another_order_have_the_same_fingerprint() -> None:
    turned = training.train(TEXTS[::-1], LABELS[::-1], None, silent)
    assert turned.fingerprint == TRAINED.fingerprint
    changed = training.train(TEXTS, LABELS[1:] + LABELS[:1], None, silent)
    assert changed.fingerprint != TRAINED.fingerprint


def test_near_duplicates_are_one_group_in_raw_and_cut_form() -> None:
    long = "我们小区楼下的餐馆每天晚上排放油烟，噪音也非常大，多次向物业公司和社区反映都没有人处理，请有关部门尽快解决"
    texts = [long, long + "谢谢", " ".join(words(long)), "公交车司机拒载老人，态度恶劣，要求处理", ""]
    found = groups(texts)
    assert found[0] == found[1] == found[2]
    assert len(set(found)) == 3
    assert digest(texts[0]) == digest(texts[2])


def test_near_duplicates_are_found_among_many_other_texts() -> None:
    chance = random.Random(3)
    letters = [chr(0x4E00 + number) for number in range(3000)]
    originals = ["".join(chance.choices(letters, k=120)) for _ in range(200)]
    copies = [text[:20] + "".join(chance.choices(letters, k=8)) + text[28:] for text in originals]
    found = groups(originals + copies)
    assert sum(found[place] == found[place + 200] for place in range(200)) >= 198
    assert len(set(found[:200])) == 200


def test_given_groups_are_kept_together_and_joined_with_near_duplicates() -> None:
    found = groups(["甲乙丙丁戊己庚", "子丑寅卯辰巳午", "甲乙丙丁戊己庚"], ["x", "x", "y"])
    assert len(set(found)) == 1


@pytest.mark.parametrize(
    ("texts", "labels"),
    [
        ([], []),
        (TEXTS[:10], LABELS[:10]),
        (["同一句话"] * 60, ["环境保护", "交通运输"] * 30),
        (TEXTS, ["环境保护"] * 240),
    ],
)
def test_too_little_to_learn_from_is_refused(texts: list[str], labels: list[str]) -> None:
    with pytest.raises(training.TrainingError, match="are needed"):
        training.train(texts, labels, None, silent)


def test_label_with_too_few_texts_is_left_out_and_said() -> None:
    trained = training.train([*TEXTS, "旅行社 导游"], [*LABELS, "商贸旅游"], None, silent)
    assert trained.dropped == {"商贸旅游": 1}
    assert "商贸旅游" not in trained.model.labels


def test_model_comes_back_from_its_bytes_as_it_was() -> None:
    data = linear.dump(TRAINED.model)
    again = linear.load(data)
    assert again.labels == TRAINED.model.labels
    for text in TEXTS[:20]:
        one, _ = TRAINED.model.predict(Reading.of("", text))
        other, _ = again.predict(Reading.of("", text))
        assert np.allclose(one, other, atol=0.01)


def altered(**entries: bytes) -> bytes:
    """The model's file with some entries replaced."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(linear.dump(TRAINED.model))) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            new.writestr(name, entries.get(name.removesuffix(".npy"), old.read(name)))
    return buffer.getvalue()


def npy(array: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]", allow_pickle: bool = False) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=allow_pickle)
    return buffer.getvalue()


ABOUT = {"format": 99, "lead": [], "block_weights": [], "words": [[], []], "labels": ["a"]}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a model"),
        (b"PK\x03\x04 no zip", "not a model"),
        (pickle.dumps({"a": 1}), "not a model"),
        (altered(biases=npy(np.zeros(7, np.float32))), "do not fit"),
        (altered(biases=npy(np.full(3, np.nan, np.float32))), "not finite"),
        (altered(biases=npy(np.array([{"evil": 1}], object), allow_pickle=True)), "not a model"),
        (altered(about=npy(np.frombuffer(json.dumps(ABOUT).encode(), np.uint8))), "train it again"),
    ],
)
def test_bytes_that_are_no_model_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(linear.ModelError, match=message):
        linear.load(data)


def test_bytes_with_another_digest_are_refused() -> None:
    with pytest.raises(linear.ModelError, match="SHA-256"):
        linear.load(linear.dump(TRAINED.model), "0" * 64)


def test_worse_model_is_told_on_rows_that_the_old_one_has_not_seen() -> None:
    texts, labels = corpus(240, seed=1, noise=0.5)
    worse = training.train(texts, labels, None, silent)
    found = compare(worse, texts, TRAINED.model, frozenset(TRAINED.digests), TRAINED.report.macro_f1)
    assert found.rows > 100
    assert found.worse
    same = compare(TRAINED, TEXTS, TRAINED.model, frozenset(TRAINED.digests), TRAINED.report.macro_f1)
    assert (same.rows, same.worse) == (0, False)


def test_models_of_other_labels_cannot_be_compared() -> None:
    other = replace(TRAINED.model, labels=("a", "b", "c"))
    with pytest.raises(ValueError, match="other labels"):
        compare(TRAINED, TEXTS, other, frozenset(), 0.5)


def test_evaluation_counts_time_and_what_goes_without_a_person() -> None:
    done: list[int] = []
    texts, labels = corpus(60, seed=5)
    found = evaluate(Classifier(CITY, TRAINED.model), [""] * 60, texts, labels, done.append)
    assert sum(done) == 60
    assert found.report.accuracy > 0.9
    assert 0 < found.milliseconds < 1000
    assert 0 <= found.sure[0] <= 1
    assert found.pair is None


def test_evaluation_judges_the_pair_where_rows_have_a_business_type() -> None:
    texts, labels = corpus(60, seed=5)
    typed: list[BusinessType | None] = ["complaint", "opinion", None] * 20
    said = [f"{text} 投诉" if kind == "complaint" else text for text, kind in zip(texts, typed, strict=True)]
    found = evaluate(Classifier(CITY, TRAINED.model), [""] * 60, said, labels, lambda _: None, types=typed)
    assert found.pair
    assert (found.pair.rows, found.pair.type) == (40, 1.0)
    assert 0.9 < found.pair.pair <= found.pair.type
    assert 0 <= found.pair.calibration_error <= 1


def test_report_of_a_small_table() -> None:
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.45, 0.55]])
    found = report(["a", "b", "b", "c"], probabilities, ["a", "b"])
    assert found.accuracy == 0.5
    by_label = {each.label: each for each in found.labels}
    assert (by_label["a"].precision, by_label["a"].recall) == (0.5, 1.0)
    assert by_label["a"].f1 == pytest.approx(2 / 3)
    assert (by_label["b"].precision, by_label["b"].recall, by_label["b"].rows) == (0.5, 0.5, 2)
    assert by_label["c"].f1 == 0
    assert found.macro_f1 == pytest.approx((2 / 3 + 0.5 + 0) / 3)
    assert found.coverage[-1] == (0.5, 1.0, 0.8)
    assert found.calibration == ((0.55, 0, 1), (0.6, 0, 1), (0.8, 1, 1), (0.9, 1, 1))
    assert found.calibration_error == pytest.approx((0.55 + 0.6 + 0.2 + 0.1) / 4)
    assert found.confusion == (("b", "a", 1), ("c", "b", 1))
