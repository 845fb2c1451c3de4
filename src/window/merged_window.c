/* What mergers of aligned windows share: lists of changed rows, and the marks of what watermarks have reached. */
#include "window/merged_window.h"

#include <string.h>

#include "base/memory.h"

void change_list_add(struct change_list *list, struct pane *pane, struct pane_row *row)
{
    if (list->has_all || row->is_changed)
        return;
    row->is_changed = 1;
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? list->capacity * 2 : 16;
        list->rows = memory_resize_array(list->rows, list->capacity, sizeof *list->rows);
    }
    list->rows[list->count++] = (uint32_t)((size_t)((const char *)row - pane->rows) / pane->layout->row_size);
}

void change_list_clear(struct change_list *list, struct pane *pane)
{
    for (uint32_t i = 0; i < list->count; i++)
        pane_row_at(pane, list->rows[i])->is_changed = 0;
    list->count = 0;
    list->has_all = false;
}

/* Index of the first mark at or behind the time. */
static uint32_t search(const struct pane *marks, int64_t time_us)
{
    uint32_t low = 0, high = marks->mark_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (marks->marks[middle] < time_us)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int64_t marks_closing_watermark(const struct pane *marks, int64_t end_us, int64_t otherwise_us)
{
    uint32_t index = search(marks, end_us);
    return index < marks->mark_count ? marks->marks[index] : otherwise_us;
}

void marks_forget(struct pane *marks, int64_t through_us)
{
    uint32_t count = search(marks, through_us + 1);
    marks->mark_count -= count;
    memmove(marks->marks, marks->marks + count, marks->mark_count * sizeof *marks->marks);
}
