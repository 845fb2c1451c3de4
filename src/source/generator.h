/* Made-up traffic of a shop, for demos, tests and measuring: the same seed gives the same events, each by its
 * partition and offset alone. An event:
 *
 *   {"event_id":"1-42","event_type":"purchase","timestamp":"2026-11-23T18:00:00.123Z","user_id":"user-17","session_id":"17-990",
 *    "properties":{"country":"FR","device":"mobile","page":"/products/204","product":"product-204","quantity":2,"amount":59.8}}
 *
 * event_type       its share and what properties it has beside country (10, the same for all events of a user), device, page
 * page_view  55 %  referrer
 * click      20 %  element
 * search      7 %  query, results
 * add_to_cart 10 % product, quantity, amount
 * purchase    8 %  product, quantity, amount (price x quantity, two decimals)
 *
 * A few users are much busier than the rest. session_id changes every 30 minutes. Event `offset` of partition p
 * is number n = offset x partitions + p in all and is made at start + n / rate; that moment is the record's own
 * time. From it the event time is moved back by up to `disorder` for disorder_share of the events, by disorder +
 * 10..70 s for late_share, and forward by 1..24 h for future_share. bad_share of the records are cut short, no
 * object, without or with an absurd time, with a duplicate key, with broken UTF-8, or too deep.
 *
 * With `start: now` every run makes new events, so its offsets begin at the wall clock's microseconds and meet
 * no earlier ones; with a fixed start they begin at 0 and the source is the same after a restart. */
#pragma once

#include "config/config.h"
#include "flow/source.h"

enum { GENERATOR_EVENT_MAX_SIZE = 640 }; /* bytes of one event; bad ones too */

/* The reader of one of `partitions`. Begins at `position` (fixed start) or now. Offsets that are replayed (a
 * finite end_offset) are made at once, all others at the rate. Never fails. */
struct source_reader *generator_reader_open(const struct config_generator_source *config, uint32_t partition,
                                            uint32_t partitions, struct source_position position,
                                            const struct clock *clock);
