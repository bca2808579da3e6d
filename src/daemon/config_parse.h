/* SPDX-License-Identifier: MIT */
/* Between config.c (the schema), config_value.c (single values) and config_check.c (the whole). */
#ifndef DAEMON_CONFIG_PARSE_H
#define DAEMON_CONFIG_PARSE_H

#include "daemon/config.h"

/* One value as written, with its line.  Freed with its text wiped: it may be a key. */
struct config_item {
	int line;
	size_t len;
	char text[];
};

/* Something that only one may have. */
enum config_claim_kind { CLAIM_SPI_IN, CLAIM_SPI_OUT, CLAIM_PREFIX };
struct config_claim {
	enum config_claim_kind kind;
	uint32_t spi;
	uint32_t scope;	    /* CLAIM_SPI_OUT: terminals apart */
	struct addr server; /* CLAIM_SPI_OUT */
	struct prefix prefix;
	int line;
	const char *owner; /* borrowed from the configuration */
};

struct config_reading {
	struct config *cfg;
	const char *path;
	struct err *err;
	bool key_files; /* may be opened here */
	struct config_claim *claims;
	size_t claim_count, claim_room;
	/* lines that whole-file checks need */
	int routes_line, home_line, home_agent_line;
};

/* "path:line: text".  -1. */
int config_fail(const struct config_reading *r, int line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void config_claim(struct config_reading *r, const struct config_claim *claim);

/* config_value.c: 0, or -1 with err.  `name` is the option's. */
int config_value_number(const struct config_reading *r, const char *name,
			const struct config_item *i, uint64_t min, uint64_t max, uint64_t *out);
int config_value_bool(const struct config_reading *r, const char *name, const struct config_item *i,
		      bool *out);
/* One of the words of a NULL-terminated list: its index. */
int config_value_word(const struct config_reading *r, const char *name, const struct config_item *i,
		      const char *const *words, unsigned *out);
int config_value_text(const struct config_reading *r, const char *name, const struct config_item *i,
		      char *out, size_t room);
int config_value_interface(const struct config_reading *r, const char *name,
			   const struct config_item *i, char out[IF_NAMESIZE]);
int config_value_addr(const struct config_reading *r, const char *name, const struct config_item *i,
		      struct addr *out);
/* "addr", "addr:port" or "[addr]:port"; port 0 when not told. */
int config_value_endpoint(const struct config_reading *r, const char *name,
			  const struct config_item *i, struct endpoint *out);
int config_value_prefix(const struct config_reading *r, const char *name,
			const struct config_item *i, struct prefix *out);
int config_value_mac(const struct config_reading *r, const char *name, const struct config_item *i,
		     uint8_t out[6]);
int config_value_alg(const struct config_reading *r, const char *name, const struct config_item *i,
		     bool integrity, const struct alg **out);
/* Hex, as written or (from_file) in the file of that name.  At most `room` bytes. */
int config_value_key(const struct config_reading *r, const char *name, const struct config_item *i,
		     bool from_file, uint8_t *out, size_t room, size_t *out_len);

/* config_check.c: what no single option can tell. */
int config_check(struct config_reading *r);

#endif
