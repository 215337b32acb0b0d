"""What the text of a column means: numbers, booleans, dates, times of day or durations, in the spellings of people.

One odd cell must not change what a column is: text that is nearly all of one kind is refused with the odd values. As
categories it would be learned without a word, and be worth nothing.
"""

import json
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modeling.table import DATE, TIME, kind_of, to_array, to_mask
from record.parameters import Csv, Data, Kind
from record.problem import Problem, refuse_if, rows_of

DateOrder = Literal["dmy", "mdy"]
Parser = Callable[[pa.Array], pa.Array]  # text → values, null where the text is not one

NEARLY = 0.9  # from this share of values of one kind on, the others are odd ones
MOSTLY = 0.5  # from this share on, if the others are one spelling
RARELY = 0.01  # from this share on, if the others are spelt as a missing value often is
MISSING = {"", "-", "--", "?", ".", "na", "n/a", "nan", "nil", "none", "null", "missing", "unknown", "#n/a", "n.a."}
SHOWN = 3  # odd values that are named
LISTED = 10_000  # different texts of the same forms, up to which all are kept
MARKS = " \u00a0\u202f'\u2019"  # between thousands, beside commas and dots
PLAIN = (  # a number, whatever its marks are
    rf"(\d+(\.\d+)?|\d{{1,3}}([,{MARKS}]\d{{3}})+(\.\d+)?|\d{{1,3}}([.{MARKS}]\d{{3}})+(,\d+)?|\d+,\d+)"
)
DISGUISES = {  # how all that is not a number as it is may be one, or a date, in another spelling, and what to do
    r"^[+-]?[1-9]\d{0,2}(,\d{3})*(\.\d+)?$": "set data.csv.thousands: ','",
    r"^[+-]?[1-9]\d{0,2}(\.\d{3})*$": "set data.csv.thousands: '.'",
    r"^[+-]?\d+(,\d+)?$": "set data.csv.decimal: ','",
    r"^\d{1,2}[-/. ](\d{1,2}|[A-Za-z]{3,9})[-/. ]\d{2}( \d{1,2}:\d{2}.*)?$": "write the year with four digits",
}
LOOSE = {  # the same, in an order of which the first counts, where none of the above fits
    r"^[+-]?\d{1,3}(\.\d{3})*(,\d+)?$": "set data.csv.decimal: ',' and data.csv.thousands: '.'",
    **{
        rf"^[+-]?\d{{1,3}}({mark}\d{{3}})*({re.escape(decimal)}\d+)?$": (
            f"set data.csv.thousands: {json.dumps(mark)}{more}"
        )
        for mark in MARKS
        for decimal, more in {".": "", ",": " and data.csv.decimal: ','"}.items()
    },
    rf"^(\({PLAIN}\)|[+\-\x{{2212}}]?{PLAIN}-?)$": "write negative numbers with a hyphen in front in a stage before",
    rf"^\(?[+\-\x{{2212}}]?\s?[$€£¥]?\s?[+\-\x{{2212}}]?{PLAIN}(\s?[$€£¥%]|\s[[:alpha:]]{{1,4}})?\)?$": (
        "remove the unit in a stage before"
    ),
}
NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
WORDS = {True: ["true"], False: ["false"]}
MORE_WORDS = {True: ["true", "yes", "y", "t", "1"], False: ["false", "no", "n", "f", "0"]}
YAML_WORDS = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAY_FIRST = r"^(?P<a>\d{1,2})[-/.](?P<b>\d{1,2})[-/.](?P<year>\d{4})(?P<rest>$|[ T].*)"
CLOCK = (
    r"(?P<hour>\d{1,2}):(?P<minute>[0-5]\d)"
    r"(?::(?P<second>[0-5]\d)(?:[.,](?P<fraction>\d+))?)?(?: ?(?P<half>[AaPp][Mm]))?"
)
ISO = (
    r"^(?P<year>\d{4})[-/.](?P<month>\d{1,2})[-/.](?P<day>\d{1,2})"
    rf"(?:[ T]{CLOCK} ?(?P<zone>Z|UTC|[+-]\d{{2}}:?\d{{2}})?)?$"
)
DURATION = (
    r"^(?P<sign>[+-])?(?:(?P<days>\d+) days?,? ?)?"
    r"(?:(?P<hour>\d+):(?P<minute>[0-5]\d):(?P<second>[0-5]\d(?:\.\d+)?))?$"
)


@dataclass(frozen=True)
class Reader:
    """How the text of a column is read, as which type; of dates, the order of day and month."""

    parse: Parser
    type: pa.DataType
    order: DateOrder | None = None
    is_plain: bool = False  # whether Arrow reads the same from a text file

    @property
    def is_whole(self) -> bool:
        """Whether it gives whole numbers."""
        return bool(pa.types.is_integer(self.type))

    def __call__(self, column: pa.ChunkedArray) -> pa.ChunkedArray:
        """The values of some text; of dates and the like, each different text is read once."""
        text = column.combine_chunks()
        if pa.types.is_integer(self.type) or pa.types.is_floating(self.type):  # most of which differ
            return pa.chunked_array([self.parse(text).cast(self.type, safe=False)])
        encoded = text.dictionary_encode()
        return pa.chunked_array([self.parse(encoded.dictionary).cast(self.type).take(encoded.indices)])


class Form(NamedTuple):
    """A kind as which text can be read; of dates, in which order, and with or without a zone."""

    kind: Kind
    order: DateOrder | None = None
    is_zoned: bool = False


class Group:
    """The rows whose texts are of the same forms: the different texts, each with its rows and the first of these."""

    def __init__(self) -> None:
        self.rows, self.is_large = 0, False
        self.texts: dict[str, tuple[int, int]] = {}

    def add(self, texts: list[str], counts: np.ndarray, first: np.ndarray) -> None:
        """Count texts of a batch; of very many different ones, a few that were frequent are kept."""
        self.rows += int(counts.sum())
        for text, count, row in zip(texts, counts.tolist(), first.tolist(), strict=False):
            known, earlier = self.texts.get(text, (0, row))
            self.texts[text] = known + count, earlier
        if len(self.texts) > LISTED:
            self.is_large = True
            self.texts = {text: self.texts[text] for text in by_frequency(self.texts)[:SHOWN]}


class Spelling:
    """What the text of a column is seen to be, as its rows go by in batches.

    Forms share no text, but for times of day, which are durations too: what is of one form is not looked at for the
    next. The text of a typed file, such as Parquet, stays text unless it is dates, times or durations, or `data.types`
    says otherwise.
    """

    def __init__(self, name: str, data: Data, *, is_typed: bool) -> None:
        self.name, self.data, self.is_typed, self.kind = name, data, is_typed, data.types.get(name)
        self.orders: list[DateOrder | None] = [None, "dmy", "mdy"] if data.date_order == "auto" else [data.date_order]
        self.rows = self.known = self.dated = 0
        self.is_whole = self.is_plain = True
        self.groups: dict[frozenset[Form], Group] = {}
        self.examples: dict[DateOrder | None, str] = {}  # of dates with the year last: any, and the first of each order
        self.disguises = [*DISGUISES, *LOOSE]  # those that all texts have so far
        self.zeros: str | None = None  # a number whose leading zeros are lost

    def add(self, column: pa.ChunkedArray) -> None:
        """Look at the rows that come next, in which what means missing is null already."""
        done, self.rows, self.known = self.rows, self.rows + len(column), self.known + len(column) - column.null_count
        if self.kind in {"category", "text"} or column.null_count == len(column):
            return
        encoded = column.combine_chunks().dictionary_encode()
        texts, codes = encoded.dictionary, np.from_dlpack(encoded.indices.fill_null(len(encoded.dictionary)))
        counts, first = np.bincount(codes, minlength=len(texts) + 1)[:-1], np.empty(len(texts) + 1, np.int64)
        # Written backwards, so that of several rows the first remains.
        first[codes[::-1]] = np.arange(len(codes))[::-1] + done
        found = self.forms_of(texts, counts)
        bits = np.zeros(len(texts), np.int64)
        for k, fits in enumerate(found.values()):
            bits |= fits.astype(np.int64) << k
        for some in np.unique(bits).tolist():
            is_of = bits == some
            group = self.groups.setdefault(frozenset(form for k, form in enumerate(found) if some >> k & 1), Group())
            shown = [] if group.is_large else texts.filter(to_mask(is_of)).to_pylist()
            group.add(shown, counts[is_of], first[:-1][is_of])
        plain = found.get(Form("number"))
        odd = texts if plain is None else texts.filter(to_mask(~plain))
        are_all = {of: pc.all(pc.match_substring_regex(odd, of), min_count=0).as_py() for of in self.disguises}
        self.disguises = [pattern for pattern, is_of_all in are_all.items() if is_of_all]
        if self.zeros is None and len(padded := texts.filter(pc.match_substring_regex(texts, r"^0\d+$"))):
            self.zeros = padded[0].as_py()

    def forms_of(self, texts: pa.Array, counts: np.ndarray) -> dict[Form, np.ndarray]:
        """For each form, which of some texts have it; `counts` are their rows."""
        found, rest = {}, np.ones(len(texts), dtype=bool)
        for kind, parse in parsers(self.data.csv, None, self.kind).items():
            left = texts.filter(to_mask(rest))
            if kind == "date":
                masks = self.forms_of_dates(left, counts[rest])
            else:
                values = plain_numbers(left, self.data.csv) if kind == "number" else None
                self.is_plain = self.is_plain and (kind != "number" or values is not None)
                values = parse(left) if values is None else values
                masks = {Form(kind): to_array(values.is_valid())}
                if kind == "number" and values.null_count < len(values):
                    only = parse(left.filter(values.is_valid())) if values.null_count else values
                    self.is_whole = self.is_whole and pa.types.is_integer(only.type)
            for form, fits in masks.items():
                found[form] = np.zeros(len(texts), dtype=bool)
                found[form][rest] = fits
            if kind != "time":
                rest &= ~np.logical_or.reduce([found[form] for form in masks])
        return found

    def forms_of_dates(self, texts: pa.Array, counts: np.ndarray) -> dict[Form, np.ndarray]:
        """The same of dates; notes what they show of the order of day and month."""
        parts = pc.extract_regex(pc.utf8_trim_whitespace(texts), DAY_FIRST)
        is_dated = to_array(parts.is_valid())
        if is_dated.any():
            self.dated += int(counts[is_dated].sum())
            dated, parts = texts.filter(to_mask(is_dated)), parts.filter(to_mask(is_dated))
            self.examples.setdefault(None, dated[0].as_py())
            groups: dict[DateOrder, str] = {"dmy": "a", "mdy": "b"}
            for first, group in groups.items():
                if len(large := dated.filter(pc.greater(_number(parts.field(group)), 12))):
                    self.examples.setdefault(first, large[0].as_py())
        masks: dict[Form, np.ndarray] = {}
        for order in self.orders:
            if order == self.orders[0] or is_dated.any():
                _, plain, zoned = instants(texts, order)
            masks |= {Form("date", order): to_array(plain), Form("date", order, is_zoned=True): to_array(zoned)}
        return masks

    def order(self) -> DateOrder | None:
        """Whether the day or the month comes first, as params.yaml says or as values above 12 show.

        Raises:
            Problem: when nothing shows it, or the values contradict each other.
        """
        if self.data.date_order != "auto":
            return self.data.date_order
        if self.dated < MOSTLY * self.known or not self.dated:
            return None
        name, shown = as_yaml(self.name), self.examples
        place, ways = f"column '{self.name}': dates such as", f"add {name}: category to data.types if it is text"
        if "dmy" in shown and "mdy" in shown:
            both = f"{shown['dmy']!r} and {shown['mdy']!r} have the day in different places"
            raise Problem(f"{place} {both}; correct them in a stage before, or {ways}")
        if len(shown) == 1:
            asked = "set data.date_order: dmy in params.yaml if the day comes first, mdy if the month does"
            raise Problem(f"{place} {shown[None]!r} do not show which number is the day; {asked}, or {ways}")
        return "dmy" if "dmy" in shown else "mdy"

    def reader(self) -> Reader | None:
        """How the column is read; None where it stays text.

        Raises:
            Problem: when the order of day and month cannot be told, or nearly all values are of one kind.
        """
        if self.kind in {"category", "text"}:
            return None
        if not self.known:
            nothing = Reader(lambda text: pa.nulls(len(text)), pa.null())
            return None if self.is_typed or self.kind else nothing
        order = self.order()
        known = parsers(self.data.csv, order, self.kind)
        types = {"number": pa.int64() if self.is_whole else pa.float64(), "boolean": pa.bool_(), "date": DATE}
        types |= {"time": TIME, "duration": pa.float64()}
        forms = [self.form_of(kind, order) for kind in known]
        for form in forms:
            is_text = self.is_typed and form.kind in {"number", "boolean"} and self.kind is None
            if self.rows_of(form) == self.known and not is_text:
                is_plain = form.kind == "number" and self.is_plain and self.name not in self.data.missing
                return Reader(known[form.kind], types[form.kind], order if form.kind == "date" else None, is_plain)
        refuse_if([] if self.name in self.data.drop else self.odd_values(forms))
        return None

    def form_of(self, kind: Kind, order: DateOrder | None) -> Form:
        """The form of a kind; of dates, with a zone if more of them have one."""
        if kind != "date":
            return Form(kind)
        return max((Form(kind, order, is_zoned) for is_zoned in (False, True)), key=self.rows_of)

    def rows_of(self, form: Form) -> int:
        """How many rows have a form."""
        return sum(group.rows for forms, group in self.groups.items() if form in forms)

    def odd_values(self, forms: list[Form]) -> Iterator[str]:
        """Why text is not what it seems to be: nearly all of one form, or numbers in disguise."""
        ways = f"add {as_yaml(self.name)}: category to data.types if it is text, or {as_yaml(self.name)} to data.drop"
        for form in forms:
            fits, others = self.rows_of(form), [group for of, group in self.groups.items() if form not in of]
            odd = {text: found for group in others for text, found in group.texts.items()}
            are_all_shown = not any(group.is_large for group in others)
            least = RARELY if means_missing(odd) else MOSTLY if len(odd) == 1 else NEARLY
            is_nearly_all = fits >= (least if are_all_shown else NEARLY) * self.known
            if odd and (self.kind == form.kind or is_nearly_all):
                yield f"{describe_odd(self.name, odd, fits, self.known, form.kind)}, {ways}"
                return
            other = form._replace(is_zoned=not form.is_zoned)
            if form.kind == "date" and fits + self.rows_of(other) >= NEARLY * self.known:
                zoned = self.rows_of(form if form.is_zoned else other)
                found = f"column '{self.name}': {zoned:,} of {self.known:,} values are dates with a time zone"
                yield f"{found}; write one in all or in none in a stage before, {ways}"
                return
        texts = {text: found for group in self.groups.values() for text, found in group.texts.items()}
        are_many = len(texts) > MOSTLY * self.known or any(group.is_large for group in self.groups.values())
        unlike = {text: found for of, group in self.groups.items() if not of for text, found in group.texts.items()}
        if self.disguises and are_many and unlike:
            first = min(unlike, key=lambda text: unlike[text][1])
            remedies = [DISGUISES[pattern] for pattern in self.disguises if pattern in DISGUISES]
            remedies = remedies or [LOOSE[self.disguises[0]]]
            yield f"column '{self.name}': values such as {first!r} are read as text; {' or '.join(remedies)}, or {ways}"


def without_missing(name: str, column: pa.ChunkedArray, data: Data) -> pa.ChunkedArray:
    """Text or numbers with null for what `data.missing` says is missing."""
    spellings = pa.array([*data.missing.get("*", []), *data.missing.get(name, [])], pa.string())
    if kind_of(column.type) == "number":
        known = spellings.filter(pc.match_substring_regex(spellings, NUMBER)).cast(pa.float64())
        is_missing = pc.is_in(column.cast(pa.float64(), safe=False), value_set=known)
    elif pa.types.is_string(column.type):
        is_missing = pc.is_in(column, value_set=spellings)
    else:
        return column
    return pc.if_else(is_missing, pa.scalar(None, column.type), column)


def as_said(name: str, column: pa.ChunkedArray, kind: Kind) -> pa.ChunkedArray:
    """A column that is not text, as the kind that `data.types` names."""
    found = kind_of(column.type)
    if kind == found or (kind == "duration" and found == "number") or pa.types.is_null(column.type):
        return column
    if kind in {"category", "text"}:
        return column.cast(pa.string())
    if {kind, found} == {"number", "boolean"}:
        try:
            return column.cast(pa.int64() if kind == "number" else pa.bool_())
        except pa.ArrowInvalid:
            pass
    raise Problem(f"column '{name}': {column.type} cannot be read as {kind}; correct data.types in params.yaml")


def parsers(csv: Csv, order: DateOrder | None, kind: Kind | None) -> dict[Kind, Parser]:
    """How text is read as each kind; of one kind only, in more spellings, if that is what the column is said to be."""
    known: dict[Kind, Parser] = {
        "number": partial(numbers, csv=csv),
        "boolean": partial(booleans, words=MORE_WORDS if kind == "boolean" else WORDS),
        "date": partial(dates, order=order),
        "time": times,
        "duration": durations,
    }
    return known if kind not in known else {kind: known[kind]}


def numbers(text: pa.Array, csv: Csv) -> pa.Array:
    """Numbers in the spelling that params.yaml names; integers where all are."""
    plain = plain_numbers(text, csv)
    return _spelt_numbers(text, csv) if plain is None else plain


def plain_numbers(text: pa.Array, csv: Csv) -> pa.Array | None:
    """Numbers where all are as Arrow writes them, which is seen faster than by looking at each letter; else None."""
    found = _cast(text, pa.float64()) if csv.decimal == "." and not csv.thousands else None
    if found is None or not pc.all(pc.is_finite(found)).as_py():
        return None
    whole = _cast(text, pa.int64())
    return found if whole is None else whole


def _spelt_numbers(text: pa.Array, csv: Csv) -> pa.Array:
    plain = pc.utf8_trim_whitespace(text)
    mark, decimal = re.escape(csv.thousands), re.escape(csv.decimal)
    if csv.thousands:
        grouped = pc.match_substring_regex(plain, rf"^[+-]?\d{{1,3}}({mark}\d{{3}})+({decimal}\d*)?$")
        plain = pc.if_else(grouped, pc.replace_substring(plain, csv.thousands, ""), plain)
    if csv.decimal != ".":
        dotted = pc.match_substring(plain, ".")
        plain = pc.if_else(dotted, "", pc.replace_substring(plain, csv.decimal, "."))
    fits = pc.match_substring_regex(plain, NUMBER)
    plain = pc.replace_substring_regex(pc.if_else(fits, plain, pa.scalar(None, pa.string())), r"^\+", "")
    whole = None if plain.null_count else _cast(plain, pa.int64())
    return plain.cast(pa.float64()) if whole is None else whole


def _cast(text: pa.Array, to: pa.DataType) -> pa.Array | None:
    try:
        return text.cast(to)
    except pa.ArrowInvalid:
        return None


def booleans(text: pa.Array, words: dict[bool, list[str]]) -> pa.Array:
    """Truth by its words, in any case."""
    plain = pc.utf8_lower(pc.utf8_trim_whitespace(text))
    known = {value: pc.is_in(plain, value_set=pa.array(spelt)) for value, spelt in words.items()}
    return pc.if_else(known[True], True, pc.if_else(known[False], False, pa.scalar(None, pa.bool_())))  # noqa: FBT003


def dates(text: pa.Array, order: DateOrder | None) -> pa.Array:
    """Instants in UTC, of which some may name a zone only if all do."""
    found, plain, zoned = instants(text, order)
    is_zoned = (pc.sum(zoned).as_py() or 0) > (pc.sum(plain).as_py() or 0)
    return pc.if_else(zoned if is_zoned else plain, found, pa.scalar(None, DATE))


def instants(text: pa.Array, order: DateOrder | None) -> tuple[pa.Array, pa.Array, pa.Array]:
    """What text says as instants in UTC, where it is a date without a zone, and where it is one with a zone."""
    parts = pc.extract_regex(_as_iso(pc.utf8_trim_whitespace(text), order), ISO)
    day = pc.binary_join_element_wise(*(parts.field(name) for name in ("year", "month", "day")), "-")
    start = pc.strptime(day, format="%Y-%m-%d", unit="us", error_is_null=True)
    exists = pc.equal(pc.cast(pc.day(start), pa.string()), pc.utf8_ltrim(parts.field("day"), "0"))
    zone = parts.field("zone")
    found = pc.subtract(pc.add(start.cast(pa.int64()), _micros(parts)), _offset(zone)).cast(DATE)
    valid = pc.fill_null(pc.and_(pc.is_valid(parts), pc.and_(exists, pc.is_valid(found))), False)  # noqa: FBT003
    plain, zoned = (pc.fill_null(pc.and_(valid, of(zone, "")), False) for of in (pc.equal, pc.not_equal))  # noqa: FBT003
    return found, plain, zoned


def _as_iso(text: pa.Array, order: DateOrder | None) -> pa.Array:
    """Dates with the day or month first, or the month by name, with the year first."""
    if order in {"dmy", "mdy"}:
        year_first = r"\3-\2-\1" if order == "dmy" else r"\3-\1-\2"
        text = pc.replace_substring_regex(text, r"^(\d{1,2})[-/.](\d{1,2})[-/.](\d{4})", year_first)
    if pc.any(pc.match_substring_regex(text, r"^(\d{1,2}[ -])?[A-Za-z]{3,9}[ .-]")).as_py():
        for k, month in enumerate(MONTHS):
            named = rf"(?i:{month}[a-z]*)\.?"
            text = pc.replace_substring_regex(text, rf"^(\d{{1,2}})[ -]{named},?[ -](\d{{4}})", rf"\2-{k + 1}-\1")
            text = pc.replace_substring_regex(text, rf"^{named} (\d{{1,2}}),? (\d{{4}})", rf"\2-{k + 1}-\1")
    return text


def _number(text: pa.Array) -> pa.Array:
    return pc.if_else(pc.equal(text, ""), "0", text).cast(pa.int64())


def _micros(parts: pa.StructArray) -> pa.Array:
    """The time of day in microseconds; null where the hour is none."""
    hour, half = _number(parts.field("hour")), pc.utf8_lower(parts.field("half"))
    is_half = pc.not_equal(half, "")
    on_dial = pc.subtract(hour, pc.multiply(pc.divide(hour, 12), 12))
    hour = pc.if_else(is_half, pc.add(on_dial, pc.if_else(pc.equal(half, "pm"), 12, 0)), hour)
    hour = pc.if_else(pc.less(hour, 24), hour, pa.scalar(None, pa.int64()))
    seconds = pc.add(pc.multiply(hour, 3600), pc.multiply(_number(parts.field("minute")), 60))
    seconds = pc.add(seconds, _number(parts.field("second")))
    fraction = pc.utf8_slice_codeunits(pc.utf8_rpad(parts.field("fraction"), 6, "0"), 0, 6)
    return pc.add(pc.multiply(seconds, 1_000_000), _number(fraction))


def _offset(zone: pa.Array) -> pa.Array:
    """The microseconds by which a zone is before UTC."""
    digits = pc.replace_substring_regex(zone, r"[^0-9]", "")
    hours, minutes = (_number(pc.utf8_slice_codeunits(digits, k, k + 2)) for k in (0, 2))
    minutes = pc.add(pc.multiply(hours, 60), minutes)
    return pc.multiply(pc.if_else(pc.starts_with(zone, "-"), pc.negate(minutes), minutes), 60_000_000)


def times(text: pa.Array) -> pa.Array:
    """Times of day, such as 13:45, 13:45:10.5 or 1:45 pm."""
    parts = pc.extract_regex(pc.utf8_trim_whitespace(text), f"^{CLOCK}$")
    return pc.if_else(pc.is_valid(parts), _micros(parts), pa.scalar(None, pa.int64())).cast(TIME)


def durations(text: pa.Array) -> pa.Array:
    """Seconds, of durations such as 26:10:00 or 1 days 02:10:00."""
    parts = pc.extract_regex(pc.utf8_trim_whitespace(text), DURATION)
    seconds = pc.if_else(pc.equal(parts.field("second"), ""), "0", parts.field("second")).cast(pa.float64())
    for name, unit in (("minute", 60), ("hour", 3600), ("days", 86_400)):
        seconds = pc.add(seconds, pc.multiply(_number(parts.field(name)), unit))
    seconds = pc.if_else(pc.equal(parts.field("sign"), "-"), pc.negate(seconds), seconds)
    is_said = pc.or_(pc.not_equal(parts.field("second"), ""), pc.not_equal(parts.field("days"), ""))
    return pc.if_else(pc.fill_null(pc.and_(pc.is_valid(parts), is_said), False), seconds, pa.scalar(None, pa.float64()))  # noqa: FBT003


def means_missing(odd: Collection[str]) -> bool:
    """Whether odd values are spelt as missing values often are."""
    return {value.strip().casefold() for value in odd} <= MISSING


def as_yaml(value: str) -> str:
    """A name or a value as it can be written in params.yaml, also inside of brackets."""
    is_plain = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value) and value.lower() not in YAML_WORDS
    return value if is_plain else json.dumps(value, ensure_ascii=False)


def folded(value: str) -> str:
    """A text without what case and blanks add to it."""
    return " ".join(value.split()).casefold()


def by_frequency(texts: dict[str, tuple[int, int]]) -> list[str]:
    """Texts in the order of their rows, most first, and of their first row."""
    return sorted(texts, key=lambda text: (-texts[text][0], texts[text][1]))


def describe_odd(name: str, odd: dict[str, tuple[int, int]], fits: int, total: int, kind: Kind) -> str:
    """How many values are of a kind, which are not and in which rows, and what to do about these."""
    most = by_frequency(odd)[:SHOWN]
    shown = [f"{text!r} is in {rows_of(odd[text][0])}, first in row {odd[text][1] + 1:,}" for text in most]
    more = f"; and {len(odd) - SHOWN} more" if len(odd) > SHOWN else ""
    spellings = f"[{', '.join(map(as_yaml, odd))}]"
    is_one_meaning = len(odd) == 1 or means_missing(odd)
    missing = f", add {as_yaml(name)}: {spellings} to data.missing if that means missing" if is_one_meaning else ""
    found = f"column '{name}': {fits:,} of {total:,} values are {kind}s, but {'; '.join(shown)}{more}"
    return f"{found}; correct that{missing}"
