"""The table of good and bad events: what each line is, and what weir must say about it.

A verdict is GOOD with the value that `x` must have, or the class of the fault. Classes, not
reason names: REASONS says by which documented reasons weir may report a class.
"""

import dataclasses

MIB = 1024 * 1024
TIME_MS = 1_700_000_000_000
HEAD = b'{"ts":1700000000000,"x":'
LINE = HEAD + b"1}"  # the shape of most lines in a stream; cases differ from it as little as they can

REASONS = {
    "not_json": {"not_json"},
    "not_object": {"not_object", "not_json"},
    "duplicate_key": {"duplicate_key"},
    "too_big": {"too_big"},
    "too_deep": {"too_deep"},
    "no_time": {"no_time"},
    "bad_time": {"absurd_time"},
    "future": {"future_time"},
}
ABSENT = object()


@dataclasses.dataclass
class Case:
    name: str
    line: bytes
    fault: str = None  # None: good
    x: object = ABSENT  # what last(x) must be, when good
    time_ms: int = TIME_MS
    http_fault: str = None  # where a live source judges differently: the clock of arrival


def value(text):
    """A line of the usual shape with this text as the value of x."""
    return HEAD + (text if isinstance(text, bytes) else text.encode()) + b"}"


def timed(text):
    return b'{"ts":' + (text if isinstance(text, bytes) else text.encode()) + b',"x":1}'


def nested(depth):
    """A document whose deepest array is `depth` levels deep, the object itself being the first."""
    return value(b"[" * (depth - 1) + b"]" * (depth - 1))


def sized(size):
    head, tail = b'{"ts":1700000000000,"x":1,"pad":"', b'"}'
    return head + b"a" * (size - len(head) - len(tail)) + tail


def good(name, line, x=ABSENT, time_ms=TIME_MS, http_fault=None):
    return Case(name, line, None, x, time_ms, http_fault)


GOOD = [
    good("integer", value("1"), 1),
    good("spaces_around_every_token", b' { "ts" : 1700000000000 ,\t"x" : 1 } ', 1),
    good("carriage_return_before_the_newline", LINE + b"\r", 1),
    good("other_key_order", b'{"x":1,"ts":1700000000000}', 1),
    good("unknown_extra_fields", value('1,"more":{"a":[1,{"b":null}],"c":"d"}'), 1),
    good("missing_x", b'{"ts":1700000000000}', None),
    good("null_x", value("null"), None),
    good("minus_zero", value("-0"), 0),
    good("minus_zero_double", value("-0.0"), 0),
    good("two_to_the_53_plus_1", value("9007199254740993"), 9007199254740993),
    good("largest_int64", value("9223372036854775807"), 9223372036854775807),
    good("smallest_int64", value("-9223372036854775808"), -9223372036854775808),
    good("beyond_64_bits_is_a_double", value("36893488147419103232"), 36893488147419103232.0),
    good("far_beyond_64_bits_is_a_double", value("1" + "0" * 60), 1e60),
    good("exponent", value("1E+2"), 100),
    good("negative_exponent", value("125e-3"), 0.125),
    good("smallest_subnormal", value("5e-324"), 5e-324),
    good("underflow_is_zero", value("1e-400"), 0),
    good("huge_exponent", value("1e999"), None),
    good("huge_negative_exponent", value("-1e999"), None),
    good("largest_double", value("1.7976931348623157e308"), 1.7976931348623157e308),
    good("many_digits_round_to_nearest", value("0.1000000000000000055511151231257827021181583404541015625"), 0.1),
    good("zero_with_exponent", value("0e9"), 0),
    good("empty_string", value('""'), ""),
    good("simple_escapes", value(r'"\"\\\/\b\f\n\r\t"'), '"\\/\b\f\n\r\t'),
    good("unicode_escape", value(r'"\u00e9\u20AC"'), "é€"),
    good("surrogate_pair", value(r'"\ud83d\ude00"'), "😀"),
    good("escaped_nul", value(r'"a\u0000b"'), "a\0b"),
    good("raw_utf8", value('"grüße 世界 😀"'), "grüße 世界 😀"),
    good("noncharacter", value('"\uffff"'), "\uffff"),
    good("line_separator_in_string", value('"\u2028"'), "\u2028"),
    good("delete_character", value('"\x7f"'), "\x7f"),
    good("true", value("true"), True),
    good("escaped_key", rb'{"ts":1700000000000,"\u0078":1}', 1),
    good("empty_key", value('1,"":2'), 1),
    good("same_key_in_different_objects", value('1,"a":{"x":2},"b":{"x":3}'), 1),
    good("keys_that_differ_in_case", value('1,"X":2'), 1),
    good("depth_64", nested(64)),
    good("exactly_1_mib", sized(MIB), 1),
    good("iso_utc", timed('"2023-11-14T22:13:20Z"'), 1),
    good("iso_offset", timed('"2023-11-15T00:13:20+02:00"'), 1),
    good("iso_negative_offset", timed('"2023-11-14T16:43:20-05:30"'), 1),
    good("iso_without_zone_is_utc", timed('"2023-11-14T22:13:20"'), 1),
    good("iso_fraction", timed('"2023-11-14T22:13:20.000Z"'), 1),
    good("iso_nanoseconds", timed('"2023-11-14T22:13:20.000000999Z"'), 1),
    good("epoch_seconds", timed("1700000000"), 1),
    good("epoch_seconds_as_double", timed("1700000000.0"), 1),
    good("epoch_microseconds", timed("1700000000000000"), 1),
    good("epoch_nanoseconds", timed("1700000000000000000"), 1),
    good("before_1970", timed('"1969-12-31T23:59:50Z"'), 1, -10_000),
    good("negative_seconds", timed("-10"), 1, -10_000),
    good("year_9999", timed('"9999-12-31T23:59:59Z"'), 1, 253_402_300_799_000, "future"),
    good("leap_day", timed('"2024-02-29T00:00:00Z"'), 1, 1_709_164_800_000),
]


def bad(fault, **lines):
    return [Case(name, line if isinstance(line, bytes) else line.encode(), fault) for name, line in lines.items()]


BAD = [
    *bad(
        "not_json",
        letters="hello",
        half_an_object='{"ts":1700000000000,"x":',
        unclosed_object=LINE[:-1],
        unclosed_string=HEAD + b'"abc}',
        unclosed_array=value("[1"),
        unclosed_key=b'{"ts":1700000000000,"x',
        trailing_comma=value("1,"),
        two_commas=value('1,,"y":2'),
        leading_comma=b'{,"ts":1700000000000}',
        missing_comma=value('1 "y":2'),
        missing_colon=b'{"ts":1700000000000,"x" 1}',
        missing_value=value(""),
        equals_for_colon=b'{"ts":1700000000000,"x"=1}',
        trailing_comma_in_array=value("[1,]"),
        single_quotes=b"{'ts':1700000000000}",
        bare_key=b"{ts:1700000000000}",
        number_as_key=b'{"ts":1700000000000,1:1}',
        comment=value("1/* one */"),
        line_comment=LINE + b"// one",
        wrong_bracket=b'{"ts":1700000000000,"x":1]',
        extra_brace=LINE + b"}",
        text_after=LINE + b" x",
        two_objects=LINE + LINE,
        comma_after=LINE + b",",
        nan=value("NaN"),
        infinity=value("Infinity"),
        minus_infinity=value("-Infinity"),
        python_true=value("True"),
        cut_literal=value("tru"),
        long_literal=value("nulll"),
        leading_zero=value("01"),
        minus_leading_zero=value("-01"),
        plus_sign=value("+1"),
        no_digit_before_point=value(".5"),
        no_digit_after_point=value("1."),
        no_digit_in_exponent=value("1e"),
        sign_without_digit_in_exponent=value("1e+"),
        lone_minus=value("-"),
        hexadecimal=value("0x10"),
        two_points=value("1.2.3"),
        thousands=value("1_000"),
        minus_space=value("- 1"),
        raw_tab_in_string=value('"a\tb"'),
        raw_control_in_string=value(b'"a\x01b"'),
        raw_nul_in_string=value(b'"a\x00b"'),
        nul_after=LINE + b"\x00",
        unknown_escape=value(r'"\x41"'),
        cut_unicode_escape=value(r'"\u12"'),
        no_hex_in_unicode_escape=value(r'"\u12g4"'),
        escaped_quote_ends_nothing=value(r'"abc\"'),
        lone_high_surrogate=value(r'"\ud800"'),
        lone_low_surrogate=value(r'"\udc00"'),
        reversed_surrogates=value(r'"\ude00\ud83d"'),
        high_surrogate_then_letter=value(r'"\ud83d\u0041"'),
        lone_surrogate_in_key=value(r'1,"\ud800":1'),
        lone_surrogate_in_unused_field=value(r'1,"u":["\udfff"]'),
        byte_ff=value(b'"\xff"'),
        overlong_slash=value(b'"\xc0\xaf"'),
        utf8_of_a_surrogate=value(b'"\xed\xa0\x80"'),
        cut_utf8=value(b'"\xe2\x82"'),
        lone_continuation=value(b'"\x80"'),
        beyond_unicode=value(b'"\xf4\x90\x80\x80"'),
        bad_utf8_in_key=value(b'1,"\xff":1'),
        latin_1=value(b'"gr\xfc\xdfe"'),
        utf16=LINE.decode().encode("utf-16-le"),
        byte_order_mark_inside=b" \xef\xbb\xbf" + LINE,
        form_feed_as_space=b"\x0c" + LINE,
        no_break_space=b"\xc2\xa0" + LINE,
        bad_utf8_in_unused_field=value(b'1,"u":"\xfe"'),
        bad_number_in_unused_field=value('1,"u":01'),
        bad_escape_in_unused_field=value(r'1,"u":"\q"'),
    ),
    *bad(
        "not_object",
        an_array=b"[1700000000000,1]",
        a_string=b'"2023-11-14T22:13:20Z"',
        a_number=b"1700000000000",
        a_null=b"null",
        a_true=b"true",
    ),
    *bad(
        "duplicate_key",
        twice=value('1,"x":1'),
        twice_time=b'{"ts":1700000000000,"ts":1700000000000,"x":1}',
        twice_unused=value('1,"u":1,"u":1'),
        twice_nested=value('{"a":1,"a":2}'),
        twice_in_array=value('[{"a":1},{"b":1,"b":2}]'),
        twice_by_escape=value(r'1,"\u0078":2'),
        twice_empty_key=value('1,"":1,"":2'),
        twice_far_apart=value("1," + ",".join(f'"k{i}":{i}' for i in range(300)) + ',"k0":0'),
    ),
    *bad("too_big", one_byte_over_1_mib=sized(MIB + 1), far_over_1_mib=sized(3 * MIB)),
    *bad(
        "too_deep", depth_65=nested(65), depth_1000=nested(1000), deep_objects=value(b'{"a":' * 100 + b"1" + b"}" * 100)
    ),
    *bad("no_time", empty_object=b"{}", without_time=b'{"x":1}', null_time=timed("null")),
    *bad(
        "bad_time",
        empty_time=timed('""'),
        word_as_time=timed('"soon"'),
        true_as_time=timed("true"),
        object_as_time=timed("{}"),
        array_as_time=timed("[1700000000000]"),
        thirteenth_month=timed('"2023-13-01T00:00:00Z"'),
        thirtieth_of_february=timed('"2023-02-30T00:00:00Z"'),
        hour_25=timed('"2023-11-14T25:00:00Z"'),
        minute_61=timed('"2023-11-14T22:61:00Z"'),
        text_after_time=timed('"2023-11-14T22:13:20Zebra"'),
        absurd_number=timed("1e300"),
        time_beyond_64_bits=timed("1" + "0" * 30),
    ),
]
CASES = GOOD + BAD
assert len({case.name for case in CASES}) == len(CASES)
