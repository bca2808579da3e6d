/* SPDX-License-Identifier: MIT */
/* Inside the steward.  steward.c: the configuration and who is who.  steward_line.c: instances and
 * their lines.  steward_conn.c: connections. */
#ifndef DAEMON_STEWARD_STATE_H
#define DAEMON_STEWARD_STATE_H

#include "base/hash.h"
#include "daemon/steward.h"

/* A terminal of the configuration. */
struct sw_entry {
	struct config_terminal *t; /* borrowed; with a peer, whose owner this is */
	struct pool *pool;	   /* borrowed; NULL: none */
	struct sw_instance *instances;
	unsigned round; /* of the configuration it was seen in last */
	struct hash_link by_name, by_identity, by_user;
	struct sw_entry *next, *prev;  /* all */
	struct sw_entry *next_pattern; /* in the order of the configuration */
};

struct sw_pool {
	const struct config_pool *cfg;
	struct pool *pool;
	struct sw_pool *next;
};

/* Somebody who was authenticated. */
struct sw_instance {
	struct sw_entry *entry;
	struct registrar_terminal *rt; /* NULL: has no addresses yet */
	bool made;		       /* rt was made here */
	struct peer *configured;       /* of rt, while no line has a connection */
	struct sw_line *lines;	       /* newest first */
	struct hash_link by_id, by_name;
	struct sw_instance *next, *prev; /* of the entry */
	char name[CONN_NAME_MAX];
	uint16_t id_len;
	uint8_t id[];
};

/* An authentication and the rekeys of its IKE SA. */
struct sw_line {
	struct ike_sa *sa;
	struct sw_instance *instance;
	struct peer *peer;     /* NULL: no child SA yet */
	struct sw_conn *conns; /* newest first */
	struct sw_line *next;
	bool closing; /* the terminal is being told */
	bool has_key;
	uint8_t key[JOINT_KEY_LEN]; /* of registrations */
};

struct sw_conn {
	struct conn *conn;	 /* whose `setup` this is */
	struct ike_child *child; /* the newest */
	struct sw_line *line;
	bool spare;
	struct sw_conn *next;
};

struct steward {
	struct steward_ops ops;
	struct ike *engine;
	struct registrar *registrar;
	struct conn_table *table;
	const struct log *log;
	const struct config *cfg;
	struct sw_entry *entries, *patterns;
	struct sw_pool *pools;
	struct hash names, identities, users; /* of entries; patterns are in names alone */
	struct hash ids, instance_names;
	uint64_t seed;
	unsigned round;
	size_t instance_count, line_count, conn_count;
};

/* steward.c */
struct sw_entry *entry_named(const struct steward *s, const char *name); /* NULL: none */

/* steward_line.c */
struct sw_line *line_of(const struct ike_sa *sa); /* NULL: none */
void line_end(struct steward *s, struct sw_line *l, usec_t now_us);
/* Its IKE SAs are closed; returns how many there were. */
unsigned instance_close(struct steward *s, struct sw_instance *i, const char *why, bool at_once,
			usec_t now_us);
void entry_end_instances(struct steward *s, struct sw_entry *e, usec_t now_us);
/* Has addresses, if only just now: from its pool.  False: it has not, and cannot get any. */
bool instance_has_homes(struct steward *s, struct sw_instance *i);
/* The line's first connection: the terminal's connections to come are of this line, its
 * registrations under this line's key, and other lines end. */
void line_take_over(struct steward *s, struct sw_line *l, usec_t now_us);

/* steward_conn.c */
void sw_conn_end(struct steward *s, struct sw_conn *h, const char *why, usec_t now_us);

#endif
