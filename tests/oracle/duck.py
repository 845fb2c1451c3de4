"""The same pipelines in DuckDB's SQL, as an oracle that shares nothing with weir.

Lateness too is SQL: a running maximum of event time over each partition in arrival order.
"""

import dataclasses

import duckdb

COLUMNS = (
    "{ts: 'TIMESTAMP', carrier: 'VARCHAR', flight: 'BIGINT', tailnum: 'VARCHAR', "
    "route: 'STRUCT(origin VARCHAR, dest VARCHAR)', distance: 'BIGINT', dep_delay: 'BIGINT', "
    "arr_delay: 'BIGINT', cancelled: 'BOOLEAN', speed: 'DOUBLE', part: 'INTEGER', seq: 'BIGINT'}"
)


@dataclasses.dataclass
class FlightPipeline:
    """One pipeline over the flights: weir's words beside DuckDB's."""

    name: str
    size: str
    size_s: int
    aggregates: dict  # name → (weir, SQL)
    key: list = dataclasses.field(default_factory=list)  # paths; both languages spell them alike
    where: tuple = (None, "true")
    lateness_s: int = 10
    late: str = "update"
    slide: str = ""  # sliding windows; tumbling ones slide by their size
    slide_s: int = 0
    offset_s: int = 0

    def window(self):
        window = {"sliding": {"size": self.size, "slide": self.slide}} if self.slide else {"tumbling": self.size}
        return {**window, "offset": f"{self.offset_s}s"} if self.offset_s else window

    def config(self):
        config = {
            "from": "flights",
            "window": self.window(),
            "aggregates": {name: weir for name, (weir, _) in self.aggregates.items()},
            "allowed_lateness": f"{self.lateness_s}s",
            "late": self.late,
        }
        if self.key:
            config["key"] = self.key
        if self.where[0]:
            config["where"] = self.where[0]
        return config


def connect(files):
    connection = duckdb.connect()
    connection.execute("set threads = 2")
    names = ", ".join(f"'{path}'" for path in files)
    connection.execute(f"""
        create table flights as
        select *, epoch_ms(ts) as t, row_number() over (order by ts, part, seq) as age
        from read_json([{names}], format = 'newline_delimited', columns = {COLUMNS})""")
    return connection


def judged(pipeline, out_of_orderness_s):
    """SQL of the rows a pipeline looks at, once for each window that covers them, with the verdict of that window."""
    size_ms, accepts = pipeline.size_s * 1000, pipeline.lateness_s * 1000 if pipeline.late == "update" else 0
    slide_ms, offset_ms = (pipeline.slide_s or pipeline.size_s) * 1000, pipeline.offset_s * 1000
    return f"""
        with watched as (
            select *, max(t) over (partition by part order by seq) - {out_of_orderness_s * 1000} as watermark,
                   (t - {offset_ms}) // {slide_ms} * {slide_ms} + {offset_ms} as last_start
            from flights),
        placed as (
            select *, unnest(generate_series(last_start, t - {size_ms} + 1, -{slide_ms})) as window_start
            from watched where {pipeline.where[1]}),
        judged as (
            select *, watermark >= window_start + {size_ms} as late,
                   watermark >= window_start + {size_ms + accepts} as too_late
            from placed)"""


def want(connection, pipeline, out_of_orderness_s, closed_before_ms=None):
    """{(window start, key values): (values, revision, on time)} of the last states."""
    key = ", ".join(pipeline.key)
    keys = f", {key}" if key else ""
    values = ", ".join(sql for _, sql in pipeline.aggregates.values())
    closed = "" if closed_before_ms is None else f"and window_start + {pipeline.size_s * 1000} <= {closed_before_ms}"
    rows = connection.execute(f"""
        {judged(pipeline, out_of_orderness_s)}
        select window_start, count(*) filter (late), count(*) filter (not late){keys}, {values}
        from judged where not too_late {closed} group by window_start{keys}""").fetchall()
    key_end = 3 + len(pipeline.key)
    return {(row[0], row[3:key_end]): (row[key_end:], row[1], row[2]) for row in rows}


def verdicts(connection, pipeline, out_of_orderness_s):
    """{used, filtered, too_late}."""
    used, too_late, total = connection.execute(f"""
        {judged(pipeline, out_of_orderness_s)}
        select count(*) filter (used), count(*) filter (not used), (select count(*) from flights)
        from (select bool_or(not too_late) as used from judged group by part, seq)""").fetchone()
    return {"used": used, "too_late": too_late, "filtered": total - used - too_late}
