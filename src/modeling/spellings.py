"""What the text of a column means: numbers, booleans, dates, times of day or durations, in the spellings of people.

One odd cell must not change what a column is: text that is nearly all of one kind is refused with the odd values. As
categories it would be learned without a word, and be worth nothing.
"""

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from modeling.table import DATE, TIME, kind_of
from record.parameters import Csv, Data, Kind
from record.problem import Problem, refuse_if, rows_of

DateOrder = Literal["dmy", "mdy"]
Parser = Callable[[pa.Array], pa.Array]  # text → values, null where the text is not one

NEARLY = 0.9  # from this share of values of one kind on, the others are odd ones
MOSTLY = 0.5  # from this share on, if the others are one spelling, or are spelt as a missing value often is
MISSING = {"", "-", "--", "?", ".", "na", "n/a", "nan", "nil", "none", "null", "missing", "unknown", "#n/a", "n.a."}
SHOWN = 3  # odd values that are named
DISGUISES = {  # text of which every value is a number or date in another spelling, and what to do about it
    r"^[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?$": "set data.csv.thousands: ','",
    r"^[+-]?[1-9]\d{0,2}(\.\d{3}){2,}$": "set data.csv.thousands: '.'",
    r"^[+-]?\d+(,\d+)?$": "set data.csv.decimal: ','",
    r"^[$€£¥]\s?[+-]?\d[\d.,]*$|^[+-]?\d[\d.,]*(\s?[$€£¥%]|\s[[:alpha:]]{1,4})$": "remove the unit in a stage before",
    r"^\d{1,2}[-/. ](\d{1,2}|[A-Za-z]{3,9})[-/. ]\d{2}( \d{1,2}:\d{2}.*)?$": "write the year with four digits",
}
NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
INTEGER = r"^[+-]?\d{1,15}$"
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


def understood(
    name: str, column: pa.ChunkedArray, data: Data, *, is_typed: bool
) -> tuple[pa.ChunkedArray, DateOrder | None]:
    """A column of the kind that it is said or seen to be, spellings of missing values as nulls, and its date order.

    The order is that of dates such as 03/04/2024, as it is said or seen. The text of a typed file, such as Parquet,
    stays text unless it is dates, times or durations, or `data.types` says otherwise.

    Raises:
        Problem: when the order of day and month cannot be told, or nearly all values are of one kind.
    """
    kind, column = data.types.get(name), without_missing(name, column, data)
    if not pa.types.is_string(column.type):
        return as_said(name, column, kind) if kind else column, None
    if kind in {"category", "text"} or column.null_count == len(column):
        return column, None
    encoded = column.combine_chunks().dictionary_encode()
    order, valid = seen_order(name, encoded.dictionary, data), {}
    for form, parse in parsers(data.csv, order, kind).items():
        values = parse(encoded.dictionary)
        is_text = is_typed and form in {"number", "boolean"} and kind is None
        if values.null_count == 0 and not is_text:
            return pa.chunked_array([values.take(encoded.indices)]), order if form == "date" else None
        valid[form] = values.is_valid().to_pylist()
    refuse_if([] if name in data.drop else odd_values(name, encoded, valid, kind))
    return column, None


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


def parsers(csv: Csv, order: str | None, kind: Kind | None) -> dict[Kind, Parser]:
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
    plain = pc.utf8_trim_whitespace(text)
    mark, decimal = re.escape(csv.thousands), re.escape(csv.decimal)
    if csv.thousands:
        grouped = pc.match_substring_regex(plain, rf"^[+-]?\d{{1,3}}({mark}\d{{3}})+({decimal}\d*)?$")
        plain = pc.if_else(grouped, pc.replace_substring(plain, csv.thousands, ""), plain)
    if csv.decimal != ".":
        dotted = pc.match_substring(plain, ".")
        plain = pc.if_else(dotted, "", pc.replace_substring(plain, csv.decimal, "."))
    fits = pc.match_substring_regex(plain, NUMBER)
    found = pc.if_else(fits, plain, pa.scalar(None, pa.string())).cast(pa.float64())
    whole = found.null_count == 0 and pc.all(pc.match_substring_regex(plain, INTEGER)).as_py()
    return found.cast(pa.int64()) if whole else found


def booleans(text: pa.Array, words: dict[bool, list[str]]) -> pa.Array:
    """Truth by its words, in any case."""
    plain = pc.utf8_lower(pc.utf8_trim_whitespace(text))
    known = {value: pc.is_in(plain, value_set=pa.array(spelt)) for value, spelt in words.items()}
    return pc.if_else(known[True], True, pc.if_else(known[False], False, pa.scalar(None, pa.bool_())))  # noqa: FBT003


def dates(text: pa.Array, order: str | None) -> pa.Array:
    """Instants in UTC, of which some may name a zone only if all do."""
    parts = pc.extract_regex(_as_iso(pc.utf8_trim_whitespace(text), order), ISO)
    day = pc.binary_join_element_wise(*(parts.field(name) for name in ("year", "month", "day")), "-")
    start = pc.strptime(day, format="%Y-%m-%d", unit="us", error_is_null=True)
    exists = pc.equal(pc.cast(pc.day(start), pa.string()), pc.utf8_ltrim(parts.field("day"), "0"))
    zone = parts.field("zone")
    found = pc.subtract(pc.add(start.cast(pa.int64()), _micros(parts)), _offset(zone)).cast(DATE)
    valid = pc.fill_null(pc.and_(pc.is_valid(parts), pc.and_(exists, pc.is_valid(found))), False)  # noqa: FBT003
    zoned, plain = (pc.and_(valid, of(zone, "")) for of in (pc.not_equal, pc.equal))
    count, others = pc.sum(zoned).as_py() or 0, pc.sum(plain).as_py() or 0
    return pc.if_else(zoned if count > others else plain, found, pa.scalar(None, DATE))


def _as_iso(text: pa.Array, order: str | None) -> pa.Array:
    """Dates with the day or month first, or the month by name, with the year first."""
    if order in {"dmy", "mdy"}:
        text = pc.replace_substring_regex(
            text, r"^(\d{1,2})[-/.](\d{1,2})[-/.](\d{4})", r"\3-\2-\1" if order == "dmy" else r"\3-\1-\2"
        )
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
    minutes = pc.add(
        pc.multiply(_number(pc.utf8_slice_codeunits(digits, 0, 2)), 60), _number(pc.utf8_slice_codeunits(digits, 2, 4))
    )
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


def seen_order(name: str, text: pa.Array, data: Data) -> DateOrder | None:
    """Whether the day or the month comes first, as params.yaml says or as values above 12 show.

    Raises:
        Problem: when nothing shows it, or the values contradict each other.
    """
    if data.date_order != "auto":
        return data.date_order
    parts = pc.extract_regex(pc.utf8_trim_whitespace(text), DAY_FIRST)
    fits = pc.is_valid(parts)
    if pc.sum(fits).as_py() < MOSTLY * len(text):
        return None
    dated, parts = text.filter(fits), parts.filter(fits)
    is_large = {group: pc.greater(_number(parts.field(group)), 12) for group in ("a", "b")}
    day_first, month_first = (dated.filter(is_large[group]) for group in ("a", "b"))
    place, ways = f"column '{name}': dates such as", f"add {as_yaml(name)}: category to data.types if it is text"
    if len(day_first) and len(month_first):
        both = f"{day_first[0].as_py()!r} and {month_first[0].as_py()!r} have the day in different places"
        raise Problem(f"{place} {both}; correct them in a stage before, or {ways}")
    if not len(day_first) and not len(month_first):
        asked = "set data.date_order: dmy in params.yaml if the day comes first, mdy if the month does"
        raise Problem(f"{place} {dated[0].as_py()!r} do not show which number is the day; {asked}, or {ways}")
    return "dmy" if len(day_first) else "mdy"


def odd_values(
    name: str, encoded: pa.DictionaryArray, valid: Mapping[Kind, list[bool]], kind: Kind | None
) -> Iterator[str]:
    """Why text is not what it seems to be: nearly all of one kind, or numbers in disguise.

    `valid` says by kind which of its different values are of that kind, `kind` what `data.types` says that it is.
    """
    total = len(encoded) - encoded.null_count
    ways = f"add {as_yaml(name)}: category to data.types if it is text, or {as_yaml(name)} to data.drop"
    counts = {v["values"]: v["counts"] for v in pc.value_counts(encoded.indices.drop_null()).to_pylist()}
    for form, fits in valid.items():
        odd = {encoded.dictionary[k].as_py(): k for k in counts if not fits[k]}
        share = (total - sum(counts[k] for k in odd.values())) / total
        if odd and (kind == form or is_nearly_all(share, odd)):
            yield f"column '{name}': {describe_odd(name, encoded, odd, counts, form)}, {ways}"
            return
    remedies = [remedy for pattern, remedy in DISGUISES.items() if _is_all(encoded.dictionary, pattern)]
    if remedies and len(encoded.dictionary) > MOSTLY * total:
        first, remedy = encoded.dictionary[0].as_py(), " or ".join(dict.fromkeys(remedies))
        yield f"column '{name}': values such as {first!r} are read as text; {remedy}, or {ways}"


def is_nearly_all(share: float, odd: Collection[str]) -> bool:
    """Whether the values that are of one kind are so many, or the others so alike, that these are odd ones."""
    return share >= NEARLY or (share >= MOSTLY and may_be_missing(odd))


def may_be_missing(odd: Collection[str]) -> bool:
    """Whether odd values look like spellings of a missing value."""
    return len(odd) == 1 or {value.strip().casefold() for value in odd} <= MISSING


def as_yaml(value: str) -> str:
    """A name or a value as it can be written in params.yaml, also inside of brackets."""
    is_plain = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value) and value.lower() not in YAML_WORDS
    return value if is_plain else json.dumps(value, ensure_ascii=False)


def folded(value: str) -> str:
    """A text without what case and blanks add to it."""
    return " ".join(value.split()).casefold()


def _is_all(text: pa.Array, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(text, pattern)).as_py())


def describe_odd(name: str, encoded: pa.DictionaryArray, odd: dict[str, int], counts: dict[int, int], form: str) -> str:
    """How many values are of a kind, which are not and in which rows, and what to do about these."""
    most = sorted(odd, key=lambda value: -counts[odd[value]])[:SHOWN]
    first = {value: pc.index(encoded.indices, odd[value]).as_py() + 1 for value in most}
    shown = [f"{value!r} is in {rows_of(counts[odd[value]])}, first in row {first[value]:,}" for value in most]
    total = len(encoded) - encoded.null_count
    more = f"; and {len(odd) - SHOWN} more" if len(odd) > SHOWN else ""
    spellings = f"[{', '.join(map(as_yaml, odd))}]"
    missing = f", add {as_yaml(name)}: {spellings} to data.missing if that means missing" if may_be_missing(odd) else ""
    fits = total - sum(counts[k] for k in odd.values())
    return f"{fits:,} of {total:,} values are {form}s, but {'; '.join(shown)}{more}; correct that{missing}"
