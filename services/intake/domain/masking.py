"""Hides numbers that name a person: in titles, texts and addresses, before anything leaves intake.

Hidden characters become `*`, one for one, so that a text keeps its length and its separators. What is found:

    mobile            138****5678           digits may be full-width, with separators or +86 / 0 / 17951 in front
    landline          0731-******78         with area code; 7 or 8 digits without one
    identity card     431*** ... ***123X    18 or 15 digits
    bank card         the last 4 remain     16-19 digits; broken into groups only when the Luhn check holds
    any long number   the last 4 (2) remain 9 (7) digits and more: household, meter, customer, QQ numbers, passports
    e-mail            z***@example.com
    WeChat, QQ        after the word itself
    number plate      湘A***45
    spoken digits     一三八……零零, 8 and more

Left alone: dates, amounts (a unit follows), a ticket's or document's own number (the word precedes), 400/800 service
numbers, anything under 7 digits. Every pattern runs in linear time: its repetitions cannot be split in two ways.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import accumulate

# May stand inside one number.
_GAP = r"[ \t\u00a0\u3000\-－–—‑−‐_.·•・．()（）\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]"
_RUN = re.compile(rf"\d(?:{_GAP}{{0,3}}\d)*[XxＸ]?")
_GROUP = re.compile(r"[\dX]+")
_DATE = re.compile(r"(?<!\d)(?:19|20)\d\d[-./](?:0?[1-9]|1[0-2])(?:[-./](?:0[1-9]|[12]\d|3[01]|[1-9]))?(?!\d)")
_WHOLE_MOBILE = re.compile(r"(?:0|86|0086|17951|12593)?(1[3-9]\d{9})")
_MOBILE = re.compile(r"(?=1[3-9]\d{9})")  # also where two overlap
_IDENTITY = re.compile(r"[1-9]\d{5}(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dX]")
_IDENTITY_15 = re.compile(r"[1-9]\d{7}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}")
_LANDLINE = re.compile(r"0(?:10|2\d|[3-9]\d\d)(?=[2-9]\d{6,7})")
_SERVICE_NUMBER = re.compile(r"[48]00\d{7}")
_COMPACT_DATE = re.compile(r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])")
_UNIT = re.compile(
    r"[ \d.)）]*(?:元|圆|块|万|亿|度|千瓦|[kK][wW]|平|㎡|[mM][²2]?\b|米|吨|人|户|个|%|％|公里|美元|港币)"
)
_REFERENCE = re.compile(
    r"(?:工单|单号|编号|受理号|文号|流水号|案号|信件|来信|预售证|许可证|发票|条码|ISBN)[号为是：:# ]{0,4}$"
)
_PHONE = re.compile(
    r"(?:电话|手机|座机|联系|致电|热线|号码|传真|[Tt][Ee][Ll]|☎)[\u4e00-\u9fff号为是：:（( ]{0,4}$|[+＋]$"
)
_CONTACT = re.compile(
    r"(?:微信|薇信|威信|[Ww]e[Cc]hat|weixin|WeiXin|[Vv][Xx]|[Ww][Xx]|[QqＱ][QqＱ]|扣扣|企鹅号)"
    r"(号码|账号|帐号|号)?([ 　]{0,3}[：:是为]?[ 　]{0,3})([A-Za-z0-9０-９][-_A-Za-z0-9０-９]{4,19})"
)
# A quick look for what `_CONTACT` begins with.
_CUES = (
    "信",
    "echat",
    "eChat",
    "eixin",
    "eiXin",
    "vx",
    "wx",
    "Vx",
    "vX",
    "VX",
    "Wx",
    "wX",
    "WX",
    "Q",
    "q",
    "Ｑ",
    "扣扣",
    "企鹅",
)
_PLATE = re.compile(
    r"[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼][A-HJ-Z][ ·•・.\-]?"
    r"(?=[A-Z]{0,4}\d)([A-HJ-NP-Z0-9]{4,5}[A-HJ-NP-Z0-9挂学警港澳])(?![A-Za-z0-9])"
)
_SPOKEN = re.compile(rf"[零〇一二三四五六七八九幺](?:{_GAP}{{0,2}}[零〇一二三四五六七八九幺]){{7,}}")
_AT = re.compile(r"(?<=[A-Za-z0-9._%+-])[@＠](?=[A-Za-z0-9])")
_LOCAL = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._%+-")
_PLAIN = {0xFF10 + n: str(n) for n in range(10)} | {ord(x): "X" for x in "xＸ"}
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)  # GB 11643-1999


def mask(text: str) -> str:
    """The text with every such number hidden; the same object when there is none. Pure, linear in its length."""
    hidden: set[int] = set()
    for run in _RUN.finditer(text):
        if run.end() - run.start() >= 7:
            hidden.update(_in_run(text, run.start(), run.group()))
    if "@" in text or "＠" in text:
        hidden.update(_in_mail(text))
    for contact in _CONTACT.finditer(text) if any(cue in text for cue in _CUES) else ():
        if contact[1] or contact[2].strip(" 　") or any(character.isdigit() for character in contact[3]):
            hidden.update(range(contact.start(3) + 1, contact.end(3)))
    for plate in _PLATE.finditer(text):
        hidden.update(range(plate.start(1), plate.end(1) - 2))
    for spoken in _SPOKEN.finditer(text):
        places = [at for at in range(spoken.start(), spoken.end()) if text[at] in "零〇一二三四五六七八九幺"]
        hidden.update(_keeping(places, 3 if len(places) >= 11 else 0, 2))
    if not hidden:
        return text
    parts, done = [], 0
    for at in sorted(hidden):
        parts.append(text[done:at])
        done = at + 1
    parts.append(text[done:])
    return "*".join(parts)


def names_a_person(value: str) -> bool:
    """Whether an identifier is a mobile number, an identity card or an e-mail address, and so is none."""
    plain = "".join(_GROUP.findall(_digits(value)))
    return "@" in value or bool(_WHOLE_MOBILE.fullmatch(plain)) or is_identity(plain)


def is_identity(plain: str) -> bool:
    """Whether 18 characters are a citizen's identity number with a right check digit (GB 11643-1999)."""
    if not _IDENTITY.fullmatch(plain):
        return False
    rest = sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, plain, strict=False)) % 11
    return "10X98765432"[rest] == plain[17]


def is_card(plain: str) -> bool:
    """Whether digits pass the Luhn check (ISO/IEC 7812-1)."""
    if not plain.isdigit():
        return False
    doubled = [int(digit) * (2 if place % 2 else 1) for place, digit in enumerate(reversed(plain))]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


def _digits(run: str) -> str:
    """The same length with every digit in ASCII and every identity-card X as `X`."""
    run = run.translate(_PLAIN)
    if run.isascii():
        return run
    return "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in run)


def _in_run(text: str, start: int, run: str) -> Iterator[int]:
    """Places to hide in one run of digits with gaps, which may hold several numbers."""
    plain = _digits(run)
    places = [at for at, character in enumerate(plain) if character.isdigit() or character == "X"]
    if len(places) < 7:
        return
    joined = "".join(plain[at] for at in places)
    if whole := _WHOLE_MOBILE.fullmatch(joined):
        yield from (start + at for at in _keeping(places[whole.start(1) :], 3, 4))
        return
    before, after = text[max(0, start - 12) : start], text[start + len(run) : start + len(run) + 8]
    begin = 0
    for date in (*_DATE.finditer(plain), None):
        end = date.start() if date else len(plain)
        piece = plain[begin:end]
        lead = before if begin == 0 else ""
        for at in _in_piece(piece, lead, after if date is None else ""):
            yield start + begin + at
        begin = date.end() if date else end


def _in_piece(piece: str, before: str, after: str) -> Iterator[int]:
    """Places to hide in one run without its dates."""
    groups = [(group.start(), group.group()) for group in _GROUP.finditer(piece)]
    places = [start + at for start, group in groups for at in range(len(group))]
    joined = "".join(group for _, group in groups)
    if len(joined) < 7:
        return
    about_phone = bool(_PHONE.search(before))
    for index, (start, group) in enumerate(groups):
        rest = piece[start + len(group) : start + len(group) + 9]
        ahead = rest + after if len(rest) < 9 else rest
        if len(group) >= 7 and not _harmless(group, before if index == 0 else "", ahead, about_phone):
            yield from (start + at for at in _in_group(group))
    if len(groups) > 1:
        yield from (places[at] for at in _over_groups(groups, joined, about_phone))


def _in_group(group: str) -> Iterable[int]:
    """Places to hide in digits that stand together."""
    places = range(len(group))
    if whole := _WHOLE_MOBILE.fullmatch(group):
        return _keeping(places[whole.start(1) :], 3, 4)
    if (landline := _LANDLINE.match(group)) and len(group) - landline.end() in (7, 8):
        return _keeping(places[landline.end() :], 0, 2)
    if len(group) in (15, 18) and (_IDENTITY.fullmatch(group) or _IDENTITY_15.fullmatch(group)):
        return _keeping(places, 3, 4)
    return _keeping(places, 0, 4 if len(group) >= 9 else 2)


def _over_groups(groups: list[tuple[int, str]], joined: str, about_phone: bool) -> set[int]:
    """Places (in `joined`) to hide in numbers that are broken into groups."""
    borders = {0, *accumulate(len(group) for _, group in groups)}
    size = len(joined)
    hidden: set[int] = set()
    if size <= 19 and (_IDENTITY.fullmatch(joined) or (size >= 16 and is_card(joined))):
        hidden.update(_keeping(range(size), 3 if size == 18 else 0, 4))
    for mobile in _MOBILE.finditer(joined):
        hidden.update(range(mobile.start() + 3, mobile.start() + 7))
    for landline in _LANDLINE.finditer(joined):
        for length in (8, 7):
            if landline.start() in borders and landline.end() + length in borders:
                hidden.update(_keeping(range(landline.end(), landline.end() + length), 0, 2))
                break
    if not hidden and about_phone and size <= 15 and not _SERVICE_NUMBER.fullmatch(joined):
        hidden.update(_keeping(range(size), 0, 4 if size >= 9 else 2))
    return hidden


def _harmless(group: str, before: str, after: str, about_phone: bool) -> bool:
    """Whether digits that stand together are a date, an amount, a document's number or a service number."""
    if _WHOLE_MOBILE.fullmatch(group) or _IDENTITY.fullmatch(group):
        return False
    if _SERVICE_NUMBER.fullmatch(group) and not before.endswith(("户号", "户号：", "户号:")):
        return True
    if about_phone:
        return False
    if len(group) == 8 and _COMPACT_DATE.fullmatch(group):
        return True
    return bool(_UNIT.match(after) or _REFERENCE.search(before))


def _in_mail(text: str) -> Iterator[int]:
    """Places to hide in e-mail addresses: all of the local part but its first character."""
    for sign in _AT.finditer(text):
        begin = at = sign.start()
        while begin > max(0, at - 64) and text[begin - 1] in _LOCAL:
            begin -= 1
        yield from range(min(begin + 1, at - 1), at)


def _keeping(places: Iterable[int], head: int, tail: int) -> list[int]:
    """All places but the first `head` and the last `tail`."""
    listed = list(places)
    return listed[head : len(listed) - tail]
