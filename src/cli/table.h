/* SPDX-License-Identifier: MIT */
/* Columns that line up, and values the way a person reads them. */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

struct table;

/* `columns`: titles, NULL at the end; one that begins with '>' is set to the right.  Borrowed. */
struct table *table_new(const char *const *columns);
/* Takes the cells (from table_text and the functions below), as many as there are columns. */
void table_row(struct table *t, char **cells);
/* Prints and frees.  bold: the titles. */
void table_print(struct table *t, FILE *out, bool bold);

/* Each returns text that the caller (or table_row) frees. */
char *table_text(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
char *table_string(const json_t *v);  /* "-" for null */
char *table_list(const json_t *v);    /* "a, b"; "-" for none */
char *table_seconds(const json_t *v); /* "3 min 20 s"; "-" for null */
char *table_ms(const json_t *v);      /* "12.3 ms"; "-" */
char *table_count(const json_t *v);   /* "1,234,567" */
char *table_bytes(const json_t *v);   /* "1.4 MiB" */

#endif
