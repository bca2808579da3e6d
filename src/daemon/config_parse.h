/* SPDX-License-Identifier: MIT */
/* What the readers of a configuration have in common: single values, and what must be told to the
 * checks of the whole. */
#ifndef DAEMON_CONFIG_PARSE_H
#define DAEMON_CONFIG_PARSE_H

#include "daemon/config.h"
#include "daemon/config_files.h"

/* One value as written, with its line.  Freed with its text wiped: it may be a key. */
struct config_item {
	int line;
	size_t len;
	char text[];
};

/* Something that only one may have. */
enum config_claim_kind { CLAIM_SPI_IN, CLAIM_SPI_OUT, CLAIM_PREFIX, CLAIM_IDENTITY, CLAIM_EAP };
struct config_claim {
	enum config_claim_kind kind;
	uint32_t spi;
	uint32_t scope;	    /* CLAIM_SPI_OUT: terminals apart */
	struct addr server; /* CLAIM_SPI_OUT */
	struct prefix prefix;
	const struct identity *identity; /* borrowed, as owner is */
	const char *user;		 /* CLAIM_EAP */
	int line;
	const char *owner; /* borrowed from the configuration */
};

struct config_reading {
	struct config *cfg;
	const char *path;
	struct err *err;
	struct config_files *files;
	struct config_claim *claims;
	size_t claim_count, claim_room;
	/* lines that whole-file checks need */
	int routes_line, home_line, home_agent_line;
	/* of section ike, for eap_tls_new */
	const struct config_file *certificate, *private_key;
	const struct config_file *ca[CONFIG_LIST_MAX];
	unsigned ca_count;
	const struct config_file *crl[CONFIG_LIST_MAX];
	unsigned crl_count;
	bool crl_required;
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
/* The file of that name (config_files_get). */
const struct config_file *config_value_file(const struct config_reading *r, const char *name,
					    const struct config_item *i, bool secret);
/* Hex digits, after 0x or not.  `line` is for messages. */
int config_value_hex(const struct config_reading *r, const char *name, int line, const char *text,
		     size_t len, uint8_t *out, size_t room, size_t *out_len);
/* " \"text\"" for a message, or "" when it could be (part of) a key.  Returns buf. */
const char *config_value_show(const struct config_item *i, char *buf, size_t room);
/* Splits "host:port" and "[host]:port" in place; *port NULL when there is none. */
char *config_value_split(char *text, char **port);

/* config_check.c: what no single option can tell. */
int config_check(struct config_reading *r);

#endif
