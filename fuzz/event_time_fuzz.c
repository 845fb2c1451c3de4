/* Event times from any text and number stay in range, and those from text come back from their own formatting. */
#include <math.h>
#include <stdlib.h>

#include "flow/event_time.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool holds)
{
    if (!holds)
        abort();
}

static void expect_in_range(enum status status, int64_t time_us)
{
    expect(status == STATUS_OK || status == STATUS_INVALID);
    expect(status || (time_us >= EVENT_TIME_MIN_US && time_us <= EVENT_TIME_MAX_US));
}

static void check_numbers(const uint8_t *data)
{
    int64_t integer, time_us = 0, double_us = 0;
    double number;
    memcpy(&integer, data, sizeof integer);
    memcpy(&number, data, sizeof number);
    for (int unit = TIME_UNIT_AUTO; unit <= TIME_UNIT_NANOSECONDS; unit++) {
        expect_in_range(event_time_from_double(number, (enum time_unit)unit, &time_us), time_us);
        enum status status = event_time_from_int(integer, (enum time_unit)unit, &time_us);
        expect_in_range(status, time_us);
        int64_t exact_limit = INT64_C(1) << 53;
        if (!status && integer < exact_limit && integer > -exact_limit &&
            event_time_from_double((double)integer, (enum time_unit)unit, &double_us) == STATUS_OK) {
            /* Beyond 2^53 microseconds a double is coarser than a microsecond. */
            int64_t distance = llabs(double_us - time_us);
            expect(distance <= (int64_t)(fabs((double)time_us) * 0x1p-51) + 1);
        }
    }
}

static void check_text(struct slice text)
{
    int64_t time_us = 0, again_us = 0;
    enum status status = event_time_from_text(text, &time_us);
    expect_in_range(status, time_us);
    if (status)
        return;
    struct buffer out = {0};
    event_time_format(&out, time_us);
    expect(event_time_from_text(buffer_slice(&out), &again_us) == STATUS_OK && again_us == time_us);
    buffer_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size >= sizeof(int64_t))
        check_numbers(data);
    check_text((struct slice){(const char *)data, size});
    return 0;
}
