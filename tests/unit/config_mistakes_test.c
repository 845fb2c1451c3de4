/* What people get wrong in a config, and that each mistake is told at its place, with a text that helps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "config/config.h"

/* Line 1 of most cases: a source, so that the mistake is the only one. */
#define SOURCE          "sources: {s: {http: {}}}\n"
/* Lines 2 to 4: a sink, and a pipeline without a window. */
#define EVENTS          "sinks: {o: {blackhole: {}}}\npipelines:\n  p: {from: s"
/* Lines 1 to 4: a pipeline that a further line, indented by 4, may continue. */
#define PIPELINE        SOURCE "pipelines:\n  p:\n    {from: s, window: {tumbling: 10s}, aggregates: {n: count()}"
#define PIPELINE_LINES  SOURCE "pipelines:\n  p:\n    from: s\n    aggregates: {n: count()}\n"

/* A Kafka source in line 1, `text` in column 22. */
#define SOURCE_OF(text) "sources: {s: {kafka: {" text "}}}\n"

#define TEN(text)       text text text text text text text text text text
#define LONG            TEN(TEN(TEN("xx")))

struct mistake {
    const char *text;
    unsigned line, column;
    const char *part; /* of the message */
};

static const struct mistake mistakes[] = {
    /* The file as a whole. */
    {"", 1, 1, "`sources` is missing"},
    {"# only a comment\n", 1, 1, "`sources` is missing"},
    {"just text\n", 1, 1, "mapping of keys"},
    {"- a\n- b\n", 1, 1, "not a list"},
    {"sources:\n\ts: {http: {}}\n", 2, 1, "tab"},
    {"sources: {s: {http: {}}}\nengine {shards: 2}\n", 2, 1, "colon"},
    {"sources: {s: {http: {}}\ndata_dir: x\n", 2, 1, "not closed"},
    {"sources:\n  s: {http: {}}\n t: {http: {}}\n", 3, 2, "indented"},
    {SOURCE "data_dir: 'x\n", 2, 12, "quote"},
    {SOURCE "data_dir: *there\n", 2, 11, "quotes"},
    {SOURCE "data_dir: !here x\n", 2, 11, "quotes"},
    {SOURCE "data_dir: *here\n", 2, 11, "quotes"},
    {SOURCE "data_dir: !here x\n", 2, 11, "quotes"},
    {SOURCE "---\ndata_dir: x\n", 2, 1, "second YAML document"},
    {SOURCE "data_dir: a\ndata_dir: b\n", 3, 1, "given twice; the first is in line 2"},
    {"sources:\n  s: {http: {}}\n  s: {http: {}}\n", 3, 3, "`s` is given twice"},
    {SOURCE "data_dir: \xff\n", 2, 11, "0xff is not UTF-8"},
    /* Keys. */
    {"surces: {}\n", 1, 1, "did you mean `sources`?"},
    {SOURCE "sevrer: {}\n", 2, 1, "did you mean `server`?"},
    {SOURCE "server: {port: 80}\n", 2, 10, "known here: listen, allowed_origins"},
    {SOURCE "listen: 127.0.0.1:80\n", 2, 1, "`listen` belongs in `server.listen`"},
    {SOURCE "engine: {shrads: 2}\n", 2, 10, "did you mean `shards`?"},
    {"sources:\n  s:\n    http: {}\n    max_out_of_order: 5s\n", 4, 5,
     "did you mean `max_out_of_orderness`?"},
    {"sources:\n  s:\n    http: {}\n    path: x\n", 4, 5, "belongs in `sources.NAME.file.path`"},
    {"sources: {s: {http: {partition: 4}}}\n", 1, 22, "did you mean `partitions`?"},
    {PIPELINE ", agregates: {}}\n", 4, 66, "did you mean `aggregates`?"},
    /* Keys of later versions. */
    {SOURCE "models: {}\n", 2, 1, "`models` (models that score events) is not available in this version yet"},
    {SOURCE "alerts: {}\n", 2, 1, "not available in this version yet"},
    {SOURCE "channels: {}\n", 2, 1, "not available in this version yet"},
    {SOURCE "server: {tls: {cert: a, key: b}}\n", 2, 10, "not available in this version yet"},
    {SOURCE "auth: {mode: jwt}\n", 2, 14, "`jwt` is not available in this version yet"},
    {SOURCE "auth: {mode: nnoe}\n", 2, 14, "did you mean `none`?"},
    {SOURCE "auth: {mode: none, issuer: x}\n", 2, 20, "not available in this version yet"},
    {"sources: {s: {http: {}, schema: user_acton}}\n", 1, 33, "did you mean `user_action`?"},
    {PIPELINE ", predict: {model: m}}\n", 4, 66, "not available in this version yet"},
    {SOURCE "sinks:\n  w: {postgres: {url: postgresql://me:hunter2@db}}\n", 3, 7,
     "not available in this version yet"},
    /* What is missing, at its parent. */
    {"data_dir: x\n", 1, 1, "`sources` is missing"},
    {"sources:\n", 1, 1, "nothing follows"},
    {"sources: {}\n", 1, 10, "is empty"},
    {"sources:\n  s:\n", 2, 3, "nothing usable follows"},
    {"sources:\n  s: {time: ts}\n", 2, 3, "give it one of kafka, http, file, generator"},
    {"sources:\n  s: {http: {}, file: {path: x}}\n", 2, 17, "two kinds, `http` and `file`"},
    {"sources:\n  s: {file: {}}\n", 2, 7, "`path` is missing"},
    {"sources:\n  s:\n    file:\n", 3, 5, "`path` is missing"},
    {"sources:\n  s: {kafka: {topics: [t]}}\n", 2, 7, "`brokers` is missing"},
    {"sources:\n  s: {kafka: {brokers: [], topics: [t]}}\n", 2, 24, "the list is empty"},
    {SOURCE "pipelines:\n  p: {window: {tumbling: 1s}, aggregates: {n: count()}}\n", 3, 3,
     "`from` is missing"},
    {SOURCE "pipelines:\n  p: {from: s, aggregates: {n: count()}}\n", 3, 16, "`window` is missing"},
    /* Pipelines without a window. */
    {SOURCE EVENTS "}\n", 4, 3, "`to` is missing"},
    {SOURCE EVENTS ", to: [o, store]}\n", 4, 24, "kept by their source"},
    {SOURCE EVENTS ", to: live}\n", 4, 20, "go to sinks only"},
    {SOURCE EVENTS ", to: o, late: drop}\n", 4, 23, "late` needs a window"},
    {SOURCE EVENTS ", to: o, emit: {every: 1s}}\n", 4, 23, "emit` needs a window"},
    {SOURCE EVENTS ", to: o, select: {}}\n", 4, 31, "has 0 fields; give 1 to 64"},
    {SOURCE EVENTS ", to: o, select: [a]}\n", 4, 31, "mapping such as {user: user_id"},
    {SOURCE EVENTS ", to: o, select: {a: [b]}}\n", 4, 35, "an expression such as user_id"},
    {SOURCE EVENTS ", to: o, select: {a: }}\n", 4, 34, "an expression such as user_id"},
    {SOURCE EVENTS ", windw: {tumbling: 1s}, aggregates: {n: count()}}\n", 4, 16, "did you mean `window`?"},
    {PIPELINE ", select: {a: b}}\n", 4, 66, "is for pipelines without a `window`"},
    {SOURCE "pipelines:\n  p: {from: s, window: {}, aggregates: {n: count()}}\n", 3, 16,
     "give it one of tumbling, sliding, session, global"},
    {PIPELINE_LINES "    window: {tumbling: 1s, sliding: {size: 2s, slide: 1s}}\n", 6, 28,
     "two kinds, `tumbling` and `sliding`"},
    {PIPELINE_LINES "    window: {session: {gap: 1s}, global: {}}\n    emit: {every: 1s}\n", 6, 34,
     "two kinds, `session` and `global`"},
    {PIPELINE_LINES "    window: {tumblng: 1s}\n", 6, 14, "did you mean `tumbling`?"},
    {PIPELINE_LINES "    window: {offset: 1s}\n", 6, 5, "give it one of tumbling"},
    {PIPELINE_LINES "    window: {sliding: {size: 60s}}\n", 6, 14, "`slide` is missing"},
    {PIPELINE_LINES "    window: {sliding: 60s}\n", 6, 23, "expected a mapping of keys"},
    {PIPELINE_LINES "    window: {sliding: {size: 60s, slide: 0s}}\n", 6, 42, "allowed are 1ms"},
    {PIPELINE_LINES "    window: {sliding: {size: 1h, slide: 3599999ms}}\n", 6, 14,
     "3600000 panes of 1ms; the most are 65536"},
    {PIPELINE_LINES "    window: {sliding: {size: 60s, slide: 1s}}\n    emit: {count: 5}\n", 7, 12,
     "would be counted in each of them"},
    {PIPELINE_LINES "    window: {sliding: {size: 60s, slide: 1s}}\n    emit_empty: true\n", 7, 5,
     "`pipelines.p.emit_empty` is for tumbling windows"},
    {PIPELINE_LINES "    window: {session: {}}\n", 6, 14, "`gap` is missing"},
    {PIPELINE_LINES "    window: {session: {gap: 1m, max_duration: 1s}}\n", 6, 47, "shorter than the gap"},
    {PIPELINE_LINES "    window: {session: {gap: 1m}, offset: 1s}\n", 6, 34, "for tumbling and sliding"},
    {PIPELINE_LINES "    window: {global: {}}\n", 6, 14, "nothing would ever be shown"},
    {PIPELINE_LINES "    window: {global: }\n    emit: {every: 1s}\n    close_after: 1s\n", 8, 5,
     "never closes"},
    {SOURCE "pipelines:\n"
            "  p: {from: s, window: {global: {}}, emit: {every: 1s}, aggregates: {n: count()}}\n"
            "  q: {from: p, window: {tumbling: 1s}, aggregates: {n: count()}}\n",
     4, 13, "never closes"},
    {PIPELINE_LINES "    window: {global: {}}\n    emit: {every: 1s}\n    late: drop\n", 8, 5,
     "no event is late"},
    {SOURCE "pipelines:\n  p: {from: s, window: {tumbling: 1s}}\n", 3, 3, "`aggregates` is missing"},
    {SOURCE "sinks:\n  f: {file: {}}\n", 3, 7, "`path` is missing"},
    {SOURCE "engine:\n  shards:\n", 3, 10, "has no value"},
    /* Values. */
    {SOURCE "engine: {shards: many}\n", 2, 18, "`many` is not auto or a whole number"},
    {SOURCE "engine: {shards: 0}\n", 2, 18, "allowed are 1 to 64"},
    {SOURCE "engine: {shards: -1}\n", 2, 18, "`-1` is not"},
    {SOURCE "engine: {shards: 65}\n", 2, 18, "allowed are 1 to 64"},
    {SOURCE "engine: {batch_size: 1e3}\n", 2, 22, "`1e3` is not a whole number"},
    {SOURCE "engine: {batch_size: [1]}\n", 2, 22, "found a list"},
    {SOURCE "engine: {memory_limit: 2GB}\n", 2, 24, "write `2GiB`"},
    {SOURCE "engine: {memory_limit: 2}\n", 2, 24, "no unit"},
    {SOURCE "engine: {memory_limit: 1KiB}\n", 2, 24, "allowed are 64MiB to 64TiB"},
    {SOURCE "engine: 4\n", 2, 9, "expected a mapping"},
    {SOURCE "server: {listen: 8765}\n", 2, 18, "is not host:port"},
    {SOURCE "server: {listen: '127.0.0.1:99999'}\n", 2, 19, "out of range"},
    {SOURCE "server: {listen: '::1:80'}\n", 2, 19, "[::1]:8765"},
    {SOURCE "server: {listen: 0.0.0.0:8765}\n", 2, 18, "`0.0.0.0:8765` is not a loopback address"},
    {SOURCE "server: {listen: weir.example.org:80}\n", 2, 18, "listen on 127.0.0.1:80"},
    {SOURCE "auth: {mode: none}\nserver: {listen: 192.168.1.4:80}\n", 3, 18, "`auth: {mode: none}`"},
    {"sources: {s: {http: {}, idle_timeout: 30}}\n", 1, 39, "no unit"},
    {"sources: {s: {http: {}, idle_timeout: 30 s}}\n", 1, 39, "write `30s`"},
    {"sources: {s: {http: {}, idle_timeout: 30sec}}\n", 1, 39, "write `30s`"},
    {"sources: {s: {http: {}, idle_timeout: 0}}\n", 1, 39, "allowed are 1ms to 3650d"},
    {"sources: {s: {http: {}, idle_timeout: 1.2.3s}}\n", 1, 39, "two points"},
    {"sources: {s: {http: {}, idle_timeout: soon}}\n", 1, 39, "`soon` is not a number with a unit"},
    {"sources: {s: {http: {}, max_out_of_orderness: -5s}}\n", 1, 47, "negative"},
    {"sources: {s: {http: {}, on_bad: drop}}\n", 1, 33, "`drop` is not one of dlq, skip, fail"},
    {"sources: {s: {http: {}, on_bad: dql}}\n", 1, 33, "did you mean `dlq`?"},
    {"sources: {s: {http: {}, format: avro}}\n", 1, 33, "`avro` is not one of json"},
    {"sources: {s: {http: {}, time_unit: sec}}\n", 1, 36, "not one of auto, s, ms, us, ns"},
    {"sources: {s: {http: {partitions: 0}}}\n", 1, 34, "allowed are 1 to 1024"},
    {"sources: {s: {file: {path: x, rate: 5000}}}\n", 1, 37, "write `5000/s`"},
    {"sources: {s: {file: {path: x, rate: fast}}}\n", 1, 37, "`fast` is not max, realtime or a rate"},
    {"sources: {s: {file: {path: x, rate: inf/s}}}\n", 1, 37, "`inf/s` is not"},
    {"sources: {s: {file: {path: x, loop: yes}}}\n", 1, 37, "`yes` is neither true nor false"},
    {"sources: {s: {generator: {bad_share: 5}}}\n", 1, 38, "not a share from 0 to 1"},
    {"sources: {s: {generator: {bad_share: nan}}}\n", 1, 38, "not a share"},
    {"sources: {s: {generator: {start: yesterday}}}\n", 1, 34, "`yesterday` is not now, a date"},
    {"sources: {s: {kafka: {brokers: b:1, topics: t, profile: fast}}}\n", 1, 57,
     "high_throughput, low_latency"},
    /* Kafka. */
    {SOURCE_OF("topics: [t], brokers: kafka"), 1, 45, "`kafka` is not host:port, such as 127.0.0.1:9092"},
    {SOURCE_OF("topics: [t], brokers: 'a:1,b:1'"), 1, 46, "write a list"},
    {SOURCE_OF("topics: [t], brokers: [a:1, ssl://b:1]"), 1, 51, "is a URL; write host:port"},
    {SOURCE_OF("topics: [t], brokers: a:99999"), 1, 45, "is not host:port"},
    {SOURCE_OF("topics: [t], bootstrap_servers: [a:1], brokers: a:1"), 1, 36, "known here: topics, group"},
    {SOURCE_OF("brokers: b:1, topic: [t]"), 1, 37,
     "unknown key `sources.s.kafka.topic`; did you mean `topics`?"},
    {SOURCE_OF("brokers: b:1, topics: []"), 1, 45, "the list is empty"},
    {SOURCE_OF("brokers: b:1, topics: 'a,b'"), 1, 46, "write a list: [a, b]"},
    {SOURCE_OF("brokers: b:1, topics: a*"), 1, 45, "a pattern begins with ^"},
    {SOURCE_OF("brokers: b:1, topics: '^a('"), 1, 46, "is no regular expression"},
    {SOURCE_OF("brokers: b:1, topics: t, partials_topic: t"), 1, 64, "the source reads `t` itself"},
    {SOURCE_OF("brokers: b:1, topics: t, dead_letter_topic: t"), 1, 67, "the source reads `t` itself"},
    {SOURCE_OF("brokers: b:1, topics: t, dead_letter_topic: '^t'"), 1, 68, "give the name of one topic"},
    {SOURCE_OF("brokers: b:1, topics: t, dead_letter_topic:"), 1, 66, "has no value"},
    {SOURCE_OF("brokers: b:1, topics: t, start: beginning"), 1, 55, "not one of earliest, latest"},
    {SOURCE_OF("brokers: b:1, topics: t, session_timeout: 100ms"), 1, 65, "allowed are 1s to 1h"},
    {SOURCE_OF("brokers: b:1, topics: t, buffer_size: 64"), 1, 61, "no unit"},
    {SOURCE_OF("brokers: b:1, topics: t, group_protocol: new"), 1, 64, "not one of classic, consumer"},
    {SOURCE_OF("brokers: b:1, topics: t, group_protocol: consumer, group_instance_id: x"), 1, 74,
     "goes with `group_protocol: classic` only"},
    {SOURCE_OF("brokers: b:1, topics: t, group_protocol: consumer, session_timeout: 9s"), 1, 74,
     "the broker decides it (group.consumer.session.timeout.ms"},
    {SOURCE_OF("brokers: b:1, topics: t, tls: yes"), 1, 53, "`yes` is neither true nor false"},
    {SOURCE_OF("brokers: b:1, topics: t, tls: [ca]"), 1, 53, "expected true, false or a mapping"},
    {SOURCE_OF("brokers: b:1, topics: t, tls: {cafile: x}"), 1, 54, "known here: ca, certificate, key"},
    {SOURCE_OF("brokers: b:1, topics: t, tls: {certificate: x}"), 1, 48, "`key` is missing"},
    {SOURCE_OF("brokers: b:1, topics: t, tls: {key: x}"), 1, 48, "`certificate` is missing"},
    {SOURCE_OF("brokers: b:1, topics: t, tls: {key_password: hunter2}"), 1, 48, "`key` is missing"},
    {SOURCE_OF("brokers: b:1, topics: t, sasl: {username: u, password: hunter2}"), 1, 48,
     "`mechanism` is missing"},
    {SOURCE_OF("brokers: b:1, topics: t, sasl: {mechanism: scram-256, username: u, password: hunter2}"), 1,
     66, "plain, scram-sha-256, scram-sha-512, oauthbearer"},
    {SOURCE_OF("brokers: b:1, topics: t, sasl: {mechanism: PLAIN, password: hunter2}"), 1, 48,
     "sasl: `username` is missing (plain needs it)"},
    {SOURCE_OF("brokers: b:1, topics: t, sasl: {mechanism: scram-sha-256, username: u}"), 1, 48,
     "`password` is missing (scram-sha-256 needs it, or `password_file`)"},
    {SOURCE_OF("brokers: b:1, topics: t, sasl: {mechanism: plain, username: u, password: hunter2, scope: s}"),
     1, 105, "is not used by `plain`"},
    {SOURCE_OF(
         "brokers: b:1, topics: t, sasl: {mechanism: oauthbearer, client_id: u, client_secret: hunter2}"),
     1, 48, "`token_url` is missing"},
    {SOURCE_OF("brokers: b:1, topics: t, sasl: {mechanism: oauthbearer, token_url: auth, client_id: u, "
               "client_secret: hunter2}"),
     1, 90, "`auth` is not a URL"},
    {SOURCE_OF(
         "brokers: b:1, topics: t, sasl: {mechanism: plain, username: u, password: hunter2, password_file: x}"),
     1, 120, "`password` is given as well"},
    {SOURCE_OF("brokers: b:1, topics: t, sasl: {mechanism: plain, username: u, password_file: no/such}"), 1,
     101, "`no/such` cannot be read: No such file or directory"},
    {SOURCE_OF("brokers: b:1, topics: t, sasl: {mechanism: plain, username: u, password_file: /dev/null}"), 1,
     101, "`/dev/null` cannot be read"},
    {SOURCE_OF("brokers: b:1, topics: t, properties: [a]"), 1, 60, "expected a mapping"},
    {SOURCE_OF("brokers: b:1, topics: t, properties: {socket.timeout.ms: }"), 1, 79, "expected one value"},
    {SOURCE_OF("brokers: b:1, topics: t, properties: {socket.timout.ms: 1}"), 1, 61,
     "did you mean `socket.timeout.ms`?"},
    {SOURCE_OF("brokers: b:1, topics: t, properties: {socket.timeout.ms: soon}"), 1, 80,
     "librdkafka refuses it"},
    {SOURCE_OF("brokers: b:1, topics: t, properties: {bootstrap.servers: a:1}"), 1, 61,
     "give `brokers` instead"},
    {SOURCE_OF("brokers: b:1, topics: t, properties: {metadata.broker.list: a:1}"), 1, 61,
     "give `brokers` instead"},
    {SOURCE_OF("brokers: b:1, topics: t, properties: {group.id: g}"), 1, 61, "give `group` instead"},
    {SOURCE_OF("brokers: b:1, topics: t, properties: {enable.auto.commit: true}"), 1, 61,
     "only after its effects are durable"},
    {SOURCE_OF("brokers: b:1, topics: t, properties: {auto.offset.reset: latest}"), 1, 61, "`start: latest`"},
    {SOURCE_OF(
         "brokers: b:1, topics: t, properties: {partition.assignment.strategy: 'range,cooperative-sticky'}"),
     1, 93, "mixes a cooperative and an eager strategy"},
    {SOURCE_OF("brokers: b:1, topics: t, group_protocol: consumer, properties: {session.timeout.ms: 9}"), 1,
     87, "the broker decides it"},
    {"sources:\n  a: {kafka: {brokers: b:1, topics: [t, u]}}\n  c: {kafka: {brokers: b:1, topics: [u]}}\n", 3,
     3, "sources `a` and `c` both read topic `u` in group `weir`"},
    {SOURCE "sinks: {k: {kafka: {brokers: b:1}}}\n", 2, 13, "`topic` is missing"},
    {SOURCE "sinks: {k: {kafka: {brokers: b:1, topic: [t]}}}\n", 2, 42, "expected text"},
    {SOURCE "sinks: {k: {kafka: {brokers: b:1, topic: ^t}}}\n", 2, 42, "give the name of one topic"},
    {SOURCE "sinks: {k: {kafka: {brokers: b:1, topic: t, compression: lz5}}}\n", 2, 58,
     "did you mean `lz4`?"},
    {SOURCE "sinks: {k: {kafka: {brokers: b:1, topic: t, transactional_id: x}}}\n", 2, 45,
     "is of use with `transactional: true` only"},
    {SOURCE "sinks: {k: {kafka: {brokers: b:1, topic: t, properties: {acks: 1}}}}\n", 2, 64,
     "is lost with the leader"},
    {SOURCE "sinks: {k: {kafka: {brokers: b:1, topic: t, properties: {enable.idempotence: false}}}}\n", 2, 78,
     "without idempotence"},
    {SOURCE "sinks: {k: {kafka: {brokers: b:1, topic: t, properties: {transactional.id: x}}}}\n", 2, 58,
     "give `transactional: true`"},
    {SOURCE "sinks:\n  k: {kafka: {brokers: b:1, topic: t, transactional: true}}\n"
            "  l: {kafka: {brokers: c:1, topic: t, transactional: true}}\n",
     4, 54, "`k` and `l` have different brokers"},
    {PIPELINE ", to: k}\nsinks: {k: {kafka: {brokers: b:1, topic: t, transactional: true}}}\n", 5, 60,
     "pipeline `p` writes to it, but source `s` is not kafka"},
    {"sources: {s: {kafka: {brokers: a:1, topics: t}}}\n"
     "pipelines: {p: {from: s, window: {tumbling: 1s}, aggregates: {n: count()}, to: k}}\n"
     "sinks: {k: {kafka: {brokers: b:1, topic: t, transactional: true}}}\n",
     3, 60, "source `s` has other brokers"},
    {"sources: {s: {kafka: {brokers: b:1, topics: t}}, u: {kafka: {brokers: b:1, topics: t, group: v}}}\n"
     "pipelines: {p: {from: [s, u], window: {tumbling: 1s}, aggregates: {n: count()}, to: k}}\n"
     "sinks: {k: {kafka: {brokers: b:1, topic: t, transactional: true}}}\n",
     3, 60, "sources `s` and `u` are in different groups"},
    {"sources:\n  my source: {http: {}}\n", 2, 3, "names are 1 to 64 letters"},
    {SOURCE "pipelines:\n  p: {from: t, window: {tumbling: 1s}, aggregates: {n: count()}}\n", 3, 13,
     "there is `s`"},
    {PIPELINE "}\n  q: {from: pp, window: {tumbling: 1s}, aggregates: {n: count()}}\n", 5, 13,
     "did you mean `p`?"},
    {PIPELINE "}\n  q: {from: [p, s], window: {tumbling: 1s}, aggregates: {n: count()}}\n", 5, 13,
     "reads sources or pipelines, not both"},
    {PIPELINE "}\n  q: {from: [p, p], window: {tumbling: 1s}, aggregates: {n: count()}}\n", 5, 17,
     "pipeline `p` is given twice"},
    {PIPELINE "}\n  q: {from: q, window: {tumbling: 1s}, aggregates: {n: count()}}\n", 5, 13,
     "would read its own results"},
    {PIPELINE "}\n  q: {from: p, to: k}\nsinks: {k: {console: {}}}\n", 5, 13, "needs a `window`"},
    {SOURCE
     "pipelines:\n  p: {from: s, to: k}\n  q: {from: p, window: {tumbling: 1s}, aggregates: {n: count()}}\n"
     "sinks: {k: {console: {}}}\n",
     4, 13, "pipeline `p` has no window"},
    {PIPELINE "}\n  q: {from: p, window: {tumbling: 1s}, aggregates: {n: count()}, to: k}\n"
              "sinks: {k: {kafka: {brokers: b:1, topic: t, transactional: true}}}\n",
     6, 60, "pipeline `q` writes to it, but source `s` is not kafka"},
    {SOURCE "pipelines:\n  p: {from: [s, s], window: {tumbling: 1s}, aggregates: {n: count()}}\n", 3, 17,
     "twice"},
    {SOURCE "pipelines:\n  p: {from: [], window: {tumbling: 1s}, aggregates: {n: count()}}\n", 3, 13,
     "expected"},
    {SOURCE "pipelines:\n  p: {from: s, window: {tumbling: 0s}, aggregates: {n: count()}}\n", 3, 35,
     "allowed are"},
    {SOURCE "pipelines:\n  p: {from: s, window: 10s, aggregates: {n: count()}}\n", 3, 24,
     "expected a mapping"},
    {SOURCE "pipelines:\n  p: {from: s, window: {tumbling: 1s}, aggregates: {}}\n", 3, 52, "give 1 to 64"},
    {SOURCE "pipelines:\n  p: {from: s, window: {tumbling: 1s}, aggregates: [count()]}\n", 3, 52,
     "expected a mapping"},
    {SOURCE "pipelines:\n  p: {from: s, window: {tumbling: 1s}, aggregates: {n: }}\n", 3, 55,
     "expected a call"},
    {PIPELINE ", key: [a, b.a]}\n", 4, 75, "two keys are named `a`"},
    {PIPELINE ", key: [a + 1]}\n", 4, 72, "needs a name"},
    {PIPELINE ", late: ignore}\n", 4, 72, "not one of update, drop, dlq"},
    {PIPELINE ", to: [stoer]}\n", 4, 71, "did you mean `store`?"},
    {PIPELINE ", to: [nosuch]}\n", 4, 71, "there are `store`, `live`"},
    {PIPELINE ", to: []}\n", 4, 70, "blackhole"},
    {PIPELINE ", emit: {every: 1ms}}\n", 4, 80, "allowed are 10ms to 1d"},
    {PIPELINE ", emit: {count: 0}}\n", 4, 80, "allowed are 1 to"},
    {PIPELINE ", key_limit: 10 million}\n", 4, 77, "not a whole number"},
    {SOURCE "sinks:\n  live: {console: {}}\n", 3, 3, "a sink cannot be named `live`"},
    {SOURCE "sinks:\n  a: {console: {}, blackhole: {}}\n", 3, 20, "two kinds"},
    {SOURCE "engine: {shards: " LONG "}\n", 2, 18, "xxx...` is not auto or a whole number"},
    {SOURCE "pipelines:\n  p: {from: " LONG ", window: {tumbling: 1s}, aggregates: {n: count()}}\n", 3, 13,
     "xxx...` is not the name of a source"},
    /* Variables. */
    {SOURCE "data_dir: ${CONFIG_TEST_UNSET}\n", 2, 11, "`CONFIG_TEST_UNSET` is not set"},
    {SOURCE "data_dir: data/${CONFIG_TEST_UNSET}\n", 2, 16, "`CONFIG_TEST_UNSET` is not set"},
    {SOURCE "data_dir: ${not a name}\n", 2, 11, "is no variable"},
    {SOURCE "data_dir: ${OPEN\n", 2, 11, "is no variable"},
    {SOURCE "engine: {shards: '${CONFIG_TEST_UNSET:-few}'}\n", 2, 19, "`few` is not auto"},
};

static void each_mistake_is_told_at_its_place_and_alone(void **state)
{
    (void)state;
    unsigned failed = 0;
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        const struct mistake *mistake = &mistakes[i];
        struct config_errors errors;
        char place[64];
        config_errors_init(&errors, "weir.yaml");
        struct config *config = config_load("weir.yaml", mistake->text, NULL, 0, &errors);
        buffer_append_char(&errors.text, '\0');
        snprintf(place, sizeof place, "weir.yaml:%u:%u: error: ", mistake->line, mistake->column);
        const char *told = strstr(errors.text.data, ": error: ");
        bool is_right = !config && errors.count == 1 &&
                        strncmp(errors.text.data, place, strlen(place)) == 0 && told &&
                        strstr(told, mistake->part) && !strstr(told, "hunter2");
        if (!is_right) {
            print_error("in:\n%s\nwant %s... %s ...\ngot  %s\n", mistake->text, place, mistake->part,
                        errors.text.data);
            failed++;
        }
        config_destroy(config);
        config_errors_deinit(&errors);
    }
    assert_int_equal(failed, 0);
}

static void all_mistakes_are_told_at_once_in_the_order_of_the_file(void **state)
{
    (void)state;
    struct config_errors errors;
    config_errors_init(&errors, "f");
    const char *text = "sinks: {k: {nothing: {}}}\n"
                       "pipelines:\n"
                       "  p: {from: x, window: {tumbling: 1}, aggregates: {n: count()}, wher: 1}\n"
                       "sources: {s: {http: {}, on_bad: x}}\n"
                       "engine: {shards: x, batch_size: 0}\n";
    assert_null(config_load("f", text, NULL, 0, &errors));
    assert_int_equal(errors.count, 8);
    buffer_append_char(&errors.text, '\0');
    unsigned last = 0;
    unsigned lines[8] = {1, 1, 3, 3, 3, 4, 5, 5};
    const char *at = errors.text.data;
    for (unsigned i = 0; i < 8; i++) {
        unsigned line, column;
        assert_int_equal(sscanf(at, "f:%u:%u: error: ", &line, &column), 2);
        assert_int_equal(line, lines[i]);
        assert_true(line * 1000 + column >= last);
        last = line * 1000 + column;
        at = strchr(at, '\n') + 1;
    }
    assert_int_equal(*at, '\0');
    config_errors_deinit(&errors);
}

static void no_more_than_20_errors_are_told_and_all_are_counted(void **state)
{
    (void)state;
    struct buffer text = {0};
    struct config_errors errors;
    config_errors_init(&errors, "f");
    buffer_append_text(&text, SOURCE);
    for (int i = 0; i < 50; i++)
        buffer_format(&text, "wrong%d: 1\n", i);
    buffer_append_char(&text, '\0');
    assert_null(config_load("f", text.data, NULL, 0, &errors));
    assert_int_equal(errors.count, 50);
    assert_int_equal(errors.line_count, CONFIG_MAX_ERRORS);
    buffer_append_char(&errors.text, '\0');
    assert_non_null(strstr(errors.text.data, "f:21:1: error: unknown key `wrong19`"));
    assert_null(strstr(errors.text.data, "wrong20"));
    buffer_deinit(&text);
    config_errors_deinit(&errors);
}

static void missing_file_is_an_error_that_names_it(void **state)
{
    (void)state;
    struct config_errors errors;
    config_errors_init(&errors, "no/such.yaml");
    assert_null(config_load("no/such.yaml", NULL, NULL, 0, &errors));
    buffer_append_char(&errors.text, '\0');
    assert_non_null(strstr(errors.text.data, "no/such.yaml: error: cannot be read: No such file"));
    config_errors_deinit(&errors);
}

static void file_that_is_too_large_or_too_deep_or_too_wide_is_refused(void **state)
{
    (void)state;
    static const char *const pieces[] = {"# comment\n", "[", "a,"};
    static const char *const wanted[] = {"too large", "too deep", "more than 1024"};
    static const unsigned counts[] = {200000, 100, 5000};
    for (unsigned i = 0; i < 3; i++) {
        struct buffer text = {0};
        struct config_errors errors;
        config_errors_init(&errors, "f");
        buffer_append_text(&text, i == 2 ? "[" : "");
        for (unsigned n = 0; n < counts[i]; n++)
            buffer_append_text(&text, pieces[i]);
        buffer_append_char(&text, '\0');
        assert_null(config_load("f", text.data, NULL, 0, &errors));
        buffer_append_char(&errors.text, '\0');
        if (!strstr(errors.text.data, wanted[i]))
            fail_msg("want %s, got %s", wanted[i], errors.text.data);
        buffer_deinit(&text);
        config_errors_deinit(&errors);
    }
}

static void message_stays_one_line_without_control_characters(void **state)
{
    (void)state;
    struct config_errors errors;
    config_errors_init(&errors, "f");
    assert_null(config_load("f", SOURCE "engine: {shards: \"a\\nb\\e[31m\"}\n", NULL, 0, &errors));
    buffer_append_char(&errors.text, '\0');
    assert_ptr_equal(strchr(errors.text.data, '\n') + 1, errors.text.data + errors.text.size - 1);
    assert_null(strchr(errors.text.data, '\033'));
    config_errors_deinit(&errors);
}

static void later_errors_are_put_between_earlier_ones_by_place(void **state)
{
    (void)state;
    struct config_errors errors;
    config_errors_init(&errors, "f");
    config_error_add(&errors, (struct config_place){.line = 9, .column = 1}, "last");
    config_error_add(&errors, (struct config_place){.line = 2, .column = 7}, "%s", "first");
    config_warning_add(&errors, (struct config_place){.line = 2, .column = 8}, "second");
    config_error_add(&errors, (struct config_place){.line = 9, .column = 1}, "very last");
    buffer_append_char(&errors.text, '\0');
    assert_string_equal(errors.text.data, "f:2:7: error: first\nf:2:8: warning: second\nf:9:1: error: last\n"
                                          "f:9:1: error: very last\n");
    config_errors_deinit(&errors);
}

int main(void)
{
    unsetenv("CONFIG_TEST_UNSET");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_mistake_is_told_at_its_place_and_alone),
        cmocka_unit_test(all_mistakes_are_told_at_once_in_the_order_of_the_file),
        cmocka_unit_test(no_more_than_20_errors_are_told_and_all_are_counted),
        cmocka_unit_test(missing_file_is_an_error_that_names_it),
        cmocka_unit_test(file_that_is_too_large_or_too_deep_or_too_wide_is_refused),
        cmocka_unit_test(message_stays_one_line_without_control_characters),
        cmocka_unit_test(later_errors_are_put_between_earlier_ones_by_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
