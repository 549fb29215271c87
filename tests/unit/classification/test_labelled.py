"""Labelled files: columns found or named, rows left out by line, every kind of bad file refused by name."""

from pathlib import Path

import pytest

from services.classification.labelled import FileError, read


def written(folder: Path, text: str | bytes, name: str = "rows.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("header", "row", "whole"),
    [
        ("title,text,department", "停电,停电三小时,甲", "停电\n三小时"),
        ("title,text,department", ",停电三小时,甲", "停电三小时"),
        ("title,body,label", "停电,三小时,甲", "停电\n三小时"),
        ("row,department,tokens", "1,甲,停电 小时", "停电 小时"),
        ("\ufefftext,category", "停电三小时,甲", "停电三小时"),
    ],
)
def test_usual_columns_are_found(tmp_path: Path, header: str, row: str, whole: str) -> None:
    found = read([written(tmp_path, f"{header}\n{row}\n")])
    assert (found.whole, found.labels) == ([whole], ("甲",))


def test_named_columns_go_before_usual_ones(tmp_path: Path) -> None:
    path = written(tmp_path, "text,department,memo,office,kind\n一,甲,二,乙,g1\n")
    found = read([path], text_columns=["memo"], label_column="office", group_column="kind")
    assert (found.texts, found.labels) == (("二",), ("乙",))
    assert found.groups == (f"{path}:g1",)


def test_business_types_are_read_by_their_chinese_or_english_names_and_others_left_open(tmp_path: Path) -> None:
    path = written(tmp_path, "text,department,业务类型\n一,甲,投诉\n二,甲,fault\n三,甲,其他\n")
    assert read([path]).types == ("complaint", "fault", None)
    assert read([written(tmp_path, "text,department\n一,甲\n", "none.csv")]).types is None
    with pytest.raises(FileError, match="no column kind"):
        read([path], type_column="kind")


def test_rows_without_text_or_label_are_left_out_by_line(tmp_path: Path) -> None:
    found = read([written(tmp_path, 'text,department\n停电,甲\n,甲\n"两\n行",乙\n停电, \n')])
    assert found.labels == ("甲", "乙")
    assert "2 rows without text or label left out (lines 3, 6)" in found.notes[1]


def test_several_files_are_read_as_one_and_their_groups_do_not_mix(tmp_path: Path) -> None:
    one = written(tmp_path, "tokens,department,dup_group\n停电,甲,1\n", "one.csv")
    two = written(tmp_path, "text,department\n没电,乙\n", "two.csv")
    found = read([one, two])
    assert found.labels == ("甲", "乙")
    assert found.groups == (f"{one}:1", f"{two}:line 2")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"text,department\n\xff\xfe,a\n", "not UTF-8 at byte 16"),
        ("", "has no rows"),
        ("text,department\n", "has no rows"),
        ("a,b\n1,2\n", "it has: a, b"),
        ('text,department\n"open,甲\n', "line 1: unexpected end of data"),
        ("text,office\n停电,甲\n", "no column of text or label"),
    ],
)
def test_bad_file_is_refused_by_name(tmp_path: Path, content: str | bytes, message: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(FileError) as error:
        read([path])
    assert str(path) in str(error.value)
    assert message in str(error.value)


def test_missing_file_and_missing_column_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"nowhere\.csv"):
        read([tmp_path / "nowhere.csv"])
    with pytest.raises(FileError, match="no column office"):
        read([written(tmp_path, "text,department\n停电,甲\n")], label_column="office")
