/* See text_table.h. Cells are ASCII: names of topics, numbers, times. */
#include "app/text_table.h"

#include <stdarg.h>
#include <stdio.h>

void text_table_init(struct text_table *table, const char *const *titles)
{
    *table = (struct text_table){0};
    while (titles[table->column_count])
        table->column_count++;
    for (uint32_t i = 0; i < table->column_count; i++)
        text_table_add(table, "%s", titles[i]);
}

void text_table_deinit(struct text_table *table)
{
    buffer_deinit(&table->cells);
}

void text_table_add(struct text_table *table, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    size_t size = strlen(text);
    if (size > table->widths[table->next_column])
        table->widths[table->next_column] = size;
    table->next_column = (table->next_column + 1) % table->column_count;
    buffer_append(&table->cells, text, size + 1);
}

void text_table_add_number(struct text_table *table, int64_t value)
{
    if (value < 0)
        text_table_add(table, "-");
    else
        text_table_add(table, "%lld", (long long)value);
}

void text_table_write(const struct text_table *table, struct buffer *out)
{
    const char *cell = table->cells.data, *end = cell + table->cells.size;
    for (uint32_t column = 0; cell < end; column = (column + 1) % table->column_count) {
        int width = (int)table->widths[column];
        buffer_format(out, "%s%*s", column ? "  " : "", column ? width : -width, cell);
        if (column + 1 == table->column_count)
            buffer_append_char(out, '\n');
        cell += strlen(cell) + 1;
    }
}
