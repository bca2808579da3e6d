/* SPDX-License-Identifier: MIT */
/*
 * The readers of a configuration's sections.  Each fills in its part of r->cfg (or of what it is
 * given) and returns 0, or -1 with err; what it made until then config_free frees.
 */
#ifndef DAEMON_CONFIG_SECTION_H
#define DAEMON_CONFIG_SECTION_H

#include <confuse.h>
#include "daemon/config_parse.h"

#define CONFIG_KEYS_HINT "`openssl rand -hex %zu` makes one"

/* --- config_connection.c */
/* A name that `sojourn` can be given; what: "connection". */
int config_name_check(struct config_reading *r, int line, const char *what, const char *name);
int config_section_name(struct config_reading *r, cfg_t *sec);
/* The key of `name`, or of the file in `name`-file. */
int config_read_key(struct config_reading *r, cfg_t *sec, const char *name, size_t suggest,
		    uint8_t *out, size_t room, size_t *len, int *line);
int config_read_spi(struct config_reading *r, cfg_t *sec, const char *name, uint32_t *out);
/* Some have configured keys (the others are places). */
bool config_connections_keyed(struct config_reading *r, cfg_t *parent);
int config_connections_read(struct config_reading *r, cfg_t *parent, struct config_terminal *t,
			    uint32_t scope);
int config_places_read_prefer(struct config_reading *r, cfg_t *ike, struct config_terminal *t,
			      unsigned preference);
void config_connections_free(struct config_terminal *t); /* and places */

/* --- config_terminal.c */
int config_terminals_read(struct config_reading *r, cfg_t *root); /* home server */
int config_terminal_read_own(struct config_reading *r, cfg_t *root);
void config_terminals_free(struct config_terminal *list);

/* --- config_ncast.c */
/* Adds to *out. */
int config_ncast_read_class(struct config_reading *r, cfg_t *sec, uint64_t *out);
int config_ncast_read_own(struct config_reading *r, cfg_t *root, struct config_terminal *t);
/* Classes and interfaces. */
bool config_ncast_equal(const struct config_terminal *a, const struct config_terminal *b);

/* --- config_ike.c: section ike, but a terminal's peer */
int config_ike_read(struct config_reading *r, cfg_t *root);
void config_ike_free(struct config_ike *ike);

/* --- config_pool.c */
int config_pools_read(struct config_reading *r, cfg_t *root);
void config_pools_free(struct config_pool *list);
/* Lists of the sections pool and ike. */
int config_read_dns(struct config_reading *r, cfg_t *sec, struct addr dns[CONFIG_DNS_MAX],
		    uint8_t *count);

/* --- config_material.c: certificates, keys and secrets */
/* Of section ike: what is there, checked. */
int config_credentials_read(struct config_reading *r, cfg_t *ike, struct config_credentials *c);
/* Makes c->eap_tls when it is not yet there. */
int config_credentials_eap_tls(struct config_reading *r, int line, struct config_credentials *c);
struct config_credentials *config_credentials_ref(struct config_credentials *c);
void config_credentials_unref(struct config_credentials *c);

/* Where an option of a peer is looked for: its own section, then section ike. */
struct config_source {
	cfg_t *own, *ike; /* ike NULL: own is it */
};
/* The first of them that has one of the names (b may be NULL); NULL: none. */
cfg_t *config_source_of(const struct config_source *s, const char *a, const char *b);
/* A secret as written or in NAME-file: text, or 0x and hexadecimal digits (is_text: text only).
 * NULL and 0 when there is none; *out is the caller's, with a zero byte behind it. */
int config_read_secret(struct config_reading *r, const struct config_source *s, const char *name,
		       bool is_text, uint8_t **out, size_t *len);

/* --- config_peer.c */
/* The caller's; NULL with err.  patterns: it may be one, or %any. */
struct identity *config_read_identity(struct config_reading *r, const char *name,
				      const struct config_item *i, bool patterns);
bool config_identity_is_pattern(const struct identity *i);
/* The default when the option is not written (sec may be NULL). */
int config_read_proposals(struct config_reading *r, cfg_t *sec, const char *name,
			  enum suite_use use, struct suite_list *out);
/* Of a terminal (role terminal: own peer, s->own is section ike). */
int config_peer_read(struct config_reading *r, const struct config_source *s,
		     struct config_terminal *t);
/* What may go through its tunnels, once its pool is known. */
void config_peer_selectors(const struct config *c, struct config_terminal *t);
/* Home server, after its terminals: whom to be for EAP under an unknown identity. */
int config_peer_read_eap(struct config_reading *r, cfg_t *ike);
void config_peer_free(struct config_peer *p);

/* --- config_policy.c */
/* Of a home server's terminal, when all else of it was read; of the terminal itself. */
int config_policy_read(struct config_reading *r, cfg_t *sec, struct config_terminal *t);
int config_policy_read_own(struct config_reading *r, cfg_t *root, struct config_terminal *t);

/* --- config_keep.c */
bool config_proposal_equal(const struct suite_proposal *a, const struct suite_proposal *b);

#endif
