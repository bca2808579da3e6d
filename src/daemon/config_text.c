/* SPDX-License-Identifier: MIT */
/*
 * The text of a configuration before libconfuse reads it.
 *
 * libconfuse says where an option stands, but miscounts lines after a comment, takes no comment
 * inside a list, accepts a file that ends inside a section, and stays inside a string that is
 * never closed until the next file.  So one pass over the text comes first: it replaces comments
 * by spaces, refuses what is never closed, and notes where each section was opened, since
 * libconfuse only knows where it ended.
 *
 * The text holds keys: it belongs to the struct, is wiped when freed, and no message shows any
 * of it.  Control thread, before or between packets.
 */
#include "daemon/config_text.h"

#include <stdbool.h>
#include <string.h>
#include "base/mem.h"

#define DEPTH_MAX 8

struct pass {
	struct config_text *t;
	const char *path;
	struct err *err;
	char *p;
	int line;
	char before; /* the last character that means something */
	struct {
		int line;
		bool section;
	} open[DEPTH_MAX];
	unsigned depth;
};

static int pass_brace_open(struct pass *s)
{
	if (s->depth == DEPTH_MAX)
		return err_set(s->err,
			       "%s:%d: braces inside braces inside braces; a brace opens a "
			       "list or a section, and a section holds options",
			       s->path, s->line);
	s->open[s->depth].line = s->line;
	s->open[s->depth++].section = s->before != '=';
	return 0;
}

static int pass_brace_close(struct pass *s)
{
	if (!s->depth)
		return err_set(s->err, "%s:%d: '}' without a '{' before it; remove it", s->path,
			       s->line);
	s->depth--;
	if (!s->open[s->depth].section)
		return 0;
	if (s->t->section_count == CONFIG_SECTIONS_MAX)
		return err_set(s->err, "%s:%d: more than %u sections; use several home servers",
			       s->path, s->line, CONFIG_SECTIONS_MAX);
	s->t->opened[s->t->section_count++] = s->open[s->depth].line;
	return 0;
}

/* From the quote to its end. */
static int pass_string(struct pass *s)
{
	char quote = *s->p++;
	int from = s->line;

	for (; *s->p != quote; s->p++) {
		if (*s->p == '\0' || *s->p == '\n')
			return err_set(s->err,
				       "%s:%d: a string is not closed on its line; write %c at its "
				       "end",
				       s->path, from, quote);
		if (*s->p == '\\')
			return err_set(s->err,
				       "%s:%d: a backslash in a string; strings are taken as they "
				       "are, write no backslash",
				       s->path, s->line);
		/* libconfuse's environment variable: its closing brace may follow a quote. */
		if (quote == '"' && s->p[0] == '$' && s->p[1] == '{') {
			size_t n = strcspn(s->p, "}\n\"");
			if (s->p[n] != '}')
				return err_set(s->err, "%s:%d: \"${\" without \"}\"; write ${NAME}",
					       s->path, s->line);
			s->p += n;
		}
	}
	s->p++;
	s->before = quote;
	return 0;
}

static void pass_line_comment(struct pass *s)
{
	while (*s->p && *s->p != '\n')
		*s->p++ = ' ';
}

static int pass_block_comment(struct pass *s)
{
	char *end = strstr(s->p + 2, "*/");

	if (!end)
		return err_set(s->err, "%s:%d: a comment is not closed; write */ at its end",
			       s->path, s->line);
	for (; s->p < end + 2; s->p++) {
		if (*s->p == '\n')
			s->line++;
		else
			*s->p = ' ';
	}
	return 0;
}

/* One token or one character. */
static int pass_step(struct pass *s)
{
	int r = 0;

	switch (*s->p) {
	case '"':
	case '\'':
		return pass_string(s);
	case '#':
		pass_line_comment(s);
		return 0;
	case '/':
		if (s->p[1] == '/') {
			pass_line_comment(s);
			return 0;
		}
		if (s->p[1] == '*')
			return pass_block_comment(s);
		break;
	case '$':
		if (s->p[1] == '{')
			return err_set(s->err, "%s:%d: ${...} outside a string; write \"${NAME}\"",
				       s->path, s->line);
		break;
	case '|': /* libconfuse would take it for a path of sections */
	case '(':
	case ')':
		return err_set(s->err, "%s:%d: '%c' outside a string; remove it", s->path, s->line,
			       *s->p);
	case '{':
		r = pass_brace_open(s);
		break;
	case '}':
		r = pass_brace_close(s);
		break;
	case '\n':
		s->line++;
		break;
	default: /* part of a word */
		break;
	}
	if (*s->p != ' ' && *s->p != '\t' && *s->p != '\r' && *s->p != '\n')
		s->before = *s->p;
	s->p++;
	return r;
}

static int pass_run(struct config_text *t, const char *path, struct err *err)
{
	struct pass s = {.t = t, .path = path, .err = err, .p = t->text, .line = 1};

	while (*s.p) {
		if (pass_step(&s) < 0)
			return -1;
	}
	if ((size_t)(s.p - t->text) != t->len)
		return err_set(err, "%s:%d: a zero byte; the configuration is text", path, s.line);
	if (s.depth)
		return err_set(err, "%s:%d: '{' is never closed; write '}' at the end of the %s",
			       path, s.open[s.depth - 1].line,
			       s.open[s.depth - 1].section ? "section" : "list");
	return 0;
}

/* Grows by doubling into fresh memory, since realloc would leave keys behind. */
static int text_fill(struct config_text *t, FILE *in, const char *path, struct err *err)
{
	size_t room = 8192;

	t->text = mem_zalloc(room + 1);
	for (;;) {
		t->len += fread(t->text + t->len, 1, room - t->len, in);
		if (t->len < room)
			break;
		if (room >= CONFIG_TEXT_MAX)
			return err_set(err, "%s: longer than %u MiB; is it the right file?", path,
				       CONFIG_TEXT_MAX >> 20);
		char *more = mem_zalloc(room * 2 + 1);
		memcpy(more, t->text, t->len);
		mem_wipe(t->text, t->len);
		free(t->text);
		t->text = more;
		room *= 2;
	}
	if (ferror(in))
		return err_set(err, "%s: cannot be read to its end; is it a file?", path);
	return 0;
}

int config_text_read(struct config_text *t, FILE *in, const char *path, struct err *err)
{
	*t = (struct config_text){.opened = mem_zalloc(CONFIG_SECTIONS_MAX * sizeof(int))};
	if (text_fill(t, in, path, err) == 0 && pass_run(t, path, err) == 0)
		return 0;
	config_text_free(t);
	return -1;
}

void config_text_free(struct config_text *t)
{
	if (t->text)
		mem_wipe(t->text, t->len);
	free(t->text);
	free(t->opened);
	*t = (struct config_text){0};
}
