"""What is read of a text: words without numbers, phrases with gaps, features."""

import numpy as np
import pytest

from services.classification.domain.feature import Vocabulary, counts
from services.classification.domain.text import MAX_CHARACTERS, Phrase, Reading, words


def reading(cut: list[str]) -> Reading:
    return Reading("", " ".join(cut), tuple(cut), 12)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("我们小区的变压器为什么停电", ["小区", "变压器", "停电"]),
        ("电话13800000001，身份证440000190001010011", ["电话", "身份证"]),
        ("电话138****0001", ["电话"]),
        ("小区 变压器 停电 ， 的", ["小区", "变压器", "停电"]),
        ("ＡＰＰ登录", ["app", "登录"]),
        ("", []),
        ("，。！？", []),
        ("\x00\ud800停电", ["停电"]),
    ],
)
def test_words_leave_out_function_words_punctuation_and_numbers(text: str, expected: list[str]) -> None:
    assert [word for word in words(text) if word.isprintable()] == expected


def test_raw_text_and_its_cut_form_have_the_same_words() -> None:
    raw = "小区变压器噪音很大，整晚嗡嗡响，物业公司不处理"
    assert words(" ".join(words(raw))) == words(raw)


def test_very_long_text_is_read_up_to_the_limit() -> None:
    assert words("啦" * MAX_CHARACTERS + "停电") == words("啦" * MAX_CHARACTERS)


def test_title_that_the_text_repeats_counts_once() -> None:
    assert Reading.of("停电", "停电三小时了").whole == "停电三小时了"
    assert Reading.of("停电", "三小时了").whole == "停电\n三小时了"


@pytest.mark.parametrize(
    ("title", "text", "lead"),
    [
        ("小区变压器停电", "物业不处理", 3),
        ("", "小区变压器停电\n物业不处理", 3),
        ("", "小区 变压器 停电   　 　 物业 处理", 3),
        ("", "小区变压器停电物业不处理", 12),
        ("停电", "小区变压器", 12),
        ("小区" * 26, "变压器", 12),
        ("", "", 12),
    ],
)
def test_title_is_given_or_ends_with_the_first_break(title: str, text: str, lead: int) -> None:
    assert Reading.of(title, text).lead == lead


@pytest.mark.parametrize(
    ("phrase", "text", "there"),
    [
        ("没电", "家里没电了", True),
        ("停电…没有通知", "昨天停电也没有通知", True),
        ("停电…没有通知", "没有通知就停电", False),
        ("停电…没有通知", "停电了。后来没有通知", False),
        ("停电…没有通知", "停电一二三四五六七八九十没有通知", True),
        ("停电…没有通知", "停电一二三四五六七八九十一没有通知", False),
        ("停电…没有通知", "停电一二三四五六七八九十一，又停电没有通知", True),
        ("APP…登录", "app登录不了", True),
        ("a.c", "abc", False),
    ],
)
def test_phrase_occurs(phrase: str, text: str, there: bool) -> None:
    assert Phrase.of(phrase).occurs_in(text) is there


@pytest.mark.parametrize(
    ("wide", "narrow", "covers"),
    [
        ("停电", "频繁停电", True),
        ("频繁停电", "停电", False),
        ("停电…通知", "停电…没有通知", True),
        ("停电", "停电…没有通知", True),
        ("通知…停电", "停电…没有通知", False),
    ],
)
def test_wider_phrase_covers_a_narrower_one(wide: str, narrow: str, covers: bool) -> None:
    assert Phrase.of(wide).covers(Phrase.of(narrow)) is covers


def test_pieces_are_told_apart_whatever_their_length_and_plane() -> None:
    keys, often = counts(reading(["停电停", "𠀀"])).pieces[0]
    assert len(keys) == 8  # 停 电 𠀀, 停电 电停 停𠀀, 停电停 电停𠀀 and no two of them alike
    assert dict(zip(keys.tolist(), often.tolist(), strict=True))[ord("停")] == 2


def test_vector_has_blocks_of_their_weight_and_unknown_features_vanish() -> None:
    texts = [counts(reading(["停电", "小区"])), counts(reading(["停电", "电表"])), counts(reading(["停电"]))]
    vocabulary = Vocabulary.of(texts, 10_000)
    where, values = vocabulary.vector(texts[0])
    assert np.isclose(float(values @ values), 1.0 + 0.49 + 1.0 + 0.49)
    assert {vocabulary.word(int(i)) for i in where if i < vocabulary.spoken} == {"停电", "小区"}
    assert len(vocabulary.vector(counts(reading(["麒麟"])))[0]) == 0
    assert len(vocabulary.vector(counts(reading([])))[0]) == 0


def test_vocabulary_keeps_the_most_frequent_within_its_limit() -> None:
    texts = [counts(reading(["停电", f"地名{chr(0x4E00 + n)}{chr(0x5E00 + n)}"])) for n in range(50)]
    small = Vocabulary.of(texts, 20)
    assert 0 < small.size <= 20
    assert "停电" in small.words[0]
