/* Rows of text under titles, each column as wide as its longest cell: the first to the left, the others to the right. */
#pragma once

#include "base/buffer.h"

enum { TEXT_TABLE_COLUMNS_MAX = 12 };

struct text_table {
    struct buffer cells; /* each ends with NUL */
    size_t widths[TEXT_TABLE_COLUMNS_MAX];
    uint32_t column_count, next_column;
};

/* `titles` ends with NULL. */
void text_table_init(struct text_table *table, const char *const *titles);
void text_table_deinit(struct text_table *table);
void text_table_add(struct text_table *table, const char *format, ...) PRINTF_LIKE(2, 3);
/* The number, or "-" when it is negative. */
void text_table_add_number(struct text_table *table, int64_t value);
void text_table_write(const struct text_table *table, struct buffer *out);
