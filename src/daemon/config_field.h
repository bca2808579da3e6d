/* SPDX-License-Identifier: MIT */
/* Fields of a configuration's section.  0, or -1 with err; an option that is not written leaves
 * `out` as it is. */
#ifndef DAEMON_CONFIG_FIELD_H
#define DAEMON_CONFIG_FIELD_H

#include <confuse.h>
#include <stddef.h>
#include "daemon/config_parse.h"

/* Numbers of a struct, by table. */
struct config_number {
	const char *name;
	uint64_t min, max;
	size_t offset, size;
};
#define CONFIG_NUMBER(type, field, name, min, max)                                                 \
	{                                                                                          \
		name, min, max, offsetof(struct type, field), sizeof(((struct type *)0)->field)    \
	}

/* Borrowed; NULL: not written. */
const struct config_item *config_field_at(cfg_t *sec, const char *name, unsigned index);
const struct config_item *config_field(cfg_t *sec, const char *name);
/* NULL with err when it is not written; example: "write one, like EXAMPLE". */
const struct config_item *config_field_needed(struct config_reading *r, cfg_t *sec,
					      const char *name, const char *example);
/* `base` is the struct that the table's offsets are of. */
int config_field_numbers(struct config_reading *r, cfg_t *sec, void *base,
			 const struct config_number *n, size_t count);
int config_field_bool(struct config_reading *r, cfg_t *sec, const char *name, bool *out);
int config_field_text(struct config_reading *r, cfg_t *sec, const char *name, char *out,
		      size_t room);
int config_field_interface(struct config_reading *r, cfg_t *sec, const char *name, char *out);
int config_field_word(struct config_reading *r, cfg_t *sec, const char *name,
		      const char *const *words, unsigned *out);
/* 0 (no replay protection), 64..2^20 packets. */
int config_field_window(struct config_reading *r, cfg_t *sec, uint32_t *out);
/* More than `max`, or an address twice, is refused. */
int config_field_addrs(struct config_reading *r, cfg_t *sec, const char *name, struct addr *out,
		       unsigned max, uint8_t *count);
int config_field_prefixes(struct config_reading *r, cfg_t *sec, const char *name,
			  struct prefix *out, unsigned max, uint8_t *count);

#endif
