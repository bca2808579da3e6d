/* SPDX-License-Identifier: MIT */
/*
 * The fields of a section: an option's value put where it belongs, or left alone when the
 * option is not written.
 *
 * Between libconfuse's sections and config_value.c, which knows what a single value may be.  No
 * state; control thread.
 */
#include "daemon/config_field.h"

#include <string.h>
#include "base/mem.h"

#define WINDOW_MAX (1u << 20)

const struct config_item *config_field_at(cfg_t *sec, const char *name, unsigned index)
{
	/* Not cfg_getopt: sections of different kinds are asked for the same option. */
	for (cfg_opt_t *o = sec->opts; o->name; o++) {
		if (!strcmp(o->name, name))
			return index < cfg_opt_size(o) ? cfg_opt_getnptr(o, index) : NULL;
	}
	return NULL;
}

const struct config_item *config_field(cfg_t *sec, const char *name)
{
	return config_field_at(sec, name, 0);
}

const struct config_item *config_field_needed(struct config_reading *r, cfg_t *sec,
					      const char *name, const char *example)
{
	const struct config_item *i = config_field(sec, name);

	if (!i && sec->title)
		config_fail(r, sec->line, "%s %s has no %s; write one, like %s", sec->name,
			    sec->title, name, example);
	else if (!i)
		config_fail(r, sec->line, "%s is missing; write one, like %s", name, example);
	return i;
}

/* --- numbers and flags, by table */

static void number_store(const struct config_number *n, void *base, uint64_t v)
{
	char *field = (char *)base + n->offset;
	uint8_t v8 = (uint8_t)v;
	uint16_t v16 = (uint16_t)v;
	uint32_t v32 = (uint32_t)v;

	switch (n->size) {
	case 1:
		memcpy(field, &v8, sizeof(v8));
		break;
	case 2:
		memcpy(field, &v16, sizeof(v16));
		break;
	case 4:
		memcpy(field, &v32, sizeof(v32));
		break;
	default:
		memcpy(field, &v, sizeof(v));
		break;
	}
}

int config_field_numbers(struct config_reading *r, cfg_t *sec, void *base,
			 const struct config_number *n, size_t count)
{
	for (; count; n++, count--) {
		const struct config_item *i = config_field(sec, n->name);
		uint64_t v;
		if (!i)
			continue;
		if (config_value_number(r, n->name, i, n->min, n->max, &v) < 0)
			return -1;
		number_store(n, base, v);
	}
	return 0;
}

int config_field_bool(struct config_reading *r, cfg_t *sec, const char *name, bool *out)
{
	const struct config_item *i = config_field(sec, name);
	return i ? config_value_bool(r, name, i, out) : 0;
}

int config_field_text(struct config_reading *r, cfg_t *sec, const char *name, char *out,
		      size_t room)
{
	const struct config_item *i = config_field(sec, name);
	return i ? config_value_text(r, name, i, out, room) : 0;
}

int config_field_interface(struct config_reading *r, cfg_t *sec, const char *name, char *out)
{
	const struct config_item *i = config_field(sec, name);
	return i ? config_value_interface(r, name, i, out) : 0;
}

int config_field_word(struct config_reading *r, cfg_t *sec, const char *name,
		      const char *const *words, unsigned *out)
{
	const struct config_item *i = config_field(sec, name);
	return i ? config_value_word(r, name, i, words, out) : 0;
}

/* 0, 64..2^20; 0 is no replay protection at all. */
int config_field_window(struct config_reading *r, cfg_t *sec, uint32_t *out)
{
	const struct config_item *i = config_field(sec, "replay-window");
	uint64_t v;

	if (!i)
		return 0;
	if (config_value_number(r, "replay-window", i, 0, WINDOW_MAX, &v) < 0)
		return -1;
	if (v && v < 64)
		return config_fail(
		    r, i->line,
		    "replay-window is too small; write 0 (no replay protection) or a "
		    "number of packets from 64 to %u",
		    WINDOW_MAX);
	*out = (uint32_t)v;
	return 0;
}

/* --- lists */

static int list_too_long(struct config_reading *r, cfg_t *sec, const char *name, unsigned max)
{
	return config_fail(r, config_field_at(sec, name, max)->line,
			   "more than %u in %s; remove some", max, name);
}

int config_field_addrs(struct config_reading *r, cfg_t *sec, const char *name, struct addr *out,
		       unsigned max, uint8_t *count)
{
	const struct config_item *i;

	for (unsigned k = 0; (i = config_field_at(sec, name, k)); k++) {
		if (k == max)
			return list_too_long(r, sec, name, max);
		if (config_value_addr(r, name, i, &out[k]) < 0)
			return -1;
		for (unsigned j = 0; j < k; j++) {
			if (addr_equal(&out[j], &out[k]))
				return config_fail(r, i->line, "%s: %s is there twice; remove one",
						   name, i->text);
		}
		*count = (uint8_t)(k + 1);
	}
	return 0;
}

int config_field_prefixes(struct config_reading *r, cfg_t *sec, const char *name,
			  struct prefix *out, unsigned max, uint8_t *count)
{
	const struct config_item *i;

	for (unsigned k = 0; (i = config_field_at(sec, name, k)); k++) {
		if (k == max)
			return list_too_long(r, sec, name, max);
		if (config_value_prefix(r, name, i, &out[k]) < 0)
			return -1;
		*count = (uint8_t)(k + 1);
	}
	return 0;
}
