/* SPDX-License-Identifier: MIT */
/*
 * Tables on a terminal.
 *
 * Rows are kept until all are known, since a column is as wide as its widest cell.  What is
 * shown comes from the daemon, which has some of it from the network: characters that a
 * terminal would obey are printed as '?'.  One thread.
 */
#include "cli/table.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include "base/mem.h"

#define COLUMNS_MAX 16

struct table {
	const char *const *columns;
	size_t column_count, row_count, row_room;
	char ***rows;
};

struct table *table_new(const char *const *columns)
{
	struct table *t = mem_zalloc(sizeof(*t));

	t->columns = columns;
	while (columns[t->column_count] && t->column_count < COLUMNS_MAX)
		t->column_count++;
	return t;
}

void table_row(struct table *t, char **cells)
{
	if (t->row_count == t->row_room) {
		size_t room = t->row_room ? t->row_room * 2 : 16;
		char ***more = mem_zalloc(room * sizeof(*more));
		if (t->row_count)
			memcpy(more, t->rows, t->row_count * sizeof(*more));
		free(t->rows);
		t->rows = more;
		t->row_room = room;
	}
	char **row = mem_zalloc(t->column_count * sizeof(*row));
	memcpy(row, cells, t->column_count * sizeof(*row));
	t->rows[t->row_count++] = row;
}

static void print_cell(FILE *out, const char *text, size_t width, bool right, bool last)
{
	int pad = (int)(width - strlen(text));

	if (right)
		fprintf(out, "%*s%s", pad, "", text);
	else
		fprintf(out, "%s%*s", text, last ? 0 : pad, "");
	if (!last)
		fputs("  ", out);
}

void table_print(struct table *t, FILE *out, bool bold)
{
	size_t width[COLUMNS_MAX] = {0};

	for (size_t c = 0; c < t->column_count; c++) {
		width[c] = strlen(t->columns[c]) - (t->columns[c][0] == '>');
		for (size_t r = 0; r < t->row_count; r++) {
			size_t len = strlen(t->rows[r][c]);
			width[c] = len > width[c] ? len : width[c];
		}
	}
	fputs(bold ? "\033[1m" : "", out);
	for (size_t c = 0; c < t->column_count; c++) {
		bool right = t->columns[c][0] == '>';
		print_cell(out, t->columns[c] + right, width[c], right, c + 1 == t->column_count);
	}
	fputs(bold ? "\033[0m\n" : "\n", out);
	for (size_t r = 0; r < t->row_count; r++) {
		for (size_t c = 0; c < t->column_count; c++) {
			print_cell(out, t->rows[r][c], width[c], t->columns[c][0] == '>',
				   c + 1 == t->column_count);
			free(t->rows[r][c]);
		}
		fputc('\n', out);
		free(t->rows[r]);
	}
	free(t->rows);
	free(t);
}

char *table_text(const char *fmt, ...)
{
	char buf[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	for (char *p = buf; *p; p++) {
		if ((unsigned char)*p < ' ' || (unsigned char)*p >= 0x7f)
			*p = '?';
	}
	return mem_strdup(buf);
}

char *table_string(const json_t *v)
{
	const char *s = json_string_value(v);
	return table_text("%s", s && *s ? s : "-");
}

char *table_list(const json_t *v)
{
	char buf[512] = "";
	size_t at = 0;

	for (size_t i = 0; i < json_array_size(v) && at < sizeof(buf); i++) {
		const char *s = json_string_value(json_array_get(v, i));
		int n = snprintf(buf + at, sizeof(buf) - at, "%s%s", i ? ", " : "", s ? s : "?");
		at += n > 0 ? (size_t)n : 0;
	}
	return table_text("%s", *buf ? buf : "-");
}

char *table_seconds(const json_t *v)
{
	if (!json_is_number(v))
		return table_text("-");
	double d = json_number_value(v);
	uint64_t s = d > 0 && d < 1e15 ? (uint64_t)d : 0;
	if (s < 60)
		return table_text("%" PRIu64 " s", s);
	if (s < 3600)
		return table_text("%" PRIu64 " min %" PRIu64 " s", s / 60, s % 60);
	if (s < 86400)
		return table_text("%" PRIu64 " h %" PRIu64 " min", s / 3600, s / 60 % 60);
	return table_text("%" PRIu64 " d %" PRIu64 " h", s / 86400, s / 3600 % 24);
}

char *table_ms(const json_t *v)
{
	if (!json_is_number(v))
		return table_text("-");
	double ms = json_number_value(v);
	if (ms >= 60000)
		return table_text("%.0f s", ms / 1000);
	if (ms >= 10000)
		return table_text("%.1f s", ms / 1000);
	return table_text("%.1f ms", ms);
}

char *table_count(const json_t *v)
{
	char digits[24], out[32];
	size_t n = 0;

	if (!json_is_integer(v))
		return table_text("-");
	snprintf(digits, sizeof(digits), "%" PRIu64, (uint64_t)json_integer_value(v));
	size_t len = strlen(digits);
	for (size_t i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			out[n++] = ',';
		out[n++] = digits[i];
	}
	out[n] = '\0';
	return table_text("%s", out);
}

char *table_bytes(const json_t *v)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
	size_t u = 0;

	if (!json_is_integer(v))
		return table_text("-");
	double b = (double)json_integer_value(v);
	for (; b >= 1024 && u + 1 < ARRAY_LEN(units); u++)
		b /= 1024;
	return table_text(u ? "%.1f %s" : "%.0f %s", b, units[u]);
}
