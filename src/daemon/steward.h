/* SPDX-License-Identifier: MIT */
/*
 * The home server's joint of IKEv2 and mobility.  Sans-I/O.
 *
 * Who is there?  A terminal of the configuration is found by its identity, or by its user's name
 * in EAP; one whose identity is a pattern stands for everybody who fits it.  Whoever was
 * authenticated is an instance, which has
 *
 *   a registrar's terminal    by the configuration, or made here: with a name from the identity
 *                             and addresses from a pool
 *   lines                     an authentication and the rekeys of its IKE SA; one, and while a
 *                             terminal authenticates again the one before, until the new one has a
 *                             connection
 *
 * and each line has a peer of the packet path (numbers begin with its keys) and connections.  Those
 * of a Sojourn are without a place until their first packet comes, and become active by
 * registration; those of another make go where the IKE SA goes (MOBIKE) and are active as long as
 * they live.
 */
#ifndef DAEMON_STEWARD_H
#define DAEMON_STEWARD_H

#include "daemon/config.h"
#include "daemon/joint.h"
#include "daemon/pool.h"
#include "mobility/registrar.h"

/* Of one line: connections that serve a place; spare ones are limited by the configuration. */
#define STEWARD_CONNECTIONS_MAX 32
#define STEWARD_LINES_MAX	4 /* of one terminal, while it authenticates again */

struct steward_ops {
	struct joint_ops joint;
	void *ctx;
	uint64_t (*wall_us)(void *ctx);
	/* c has left its bindings for good and is about to be removed: nothing published may name
	 * it any longer. */
	void (*leaving)(void *ctx, struct conn *c);
	/* The way of an IKE SA that follows a Sojourn's active connection; false: none. */
	bool (*follow_path)(void *ctx, const struct conn *c, struct ike_path *out);
};

struct steward;
struct steward *steward_new(const struct steward_ops *ops, struct registrar *registrar,
			    struct conn_table *table, const struct log *log);
/* Every line ends, and the terminals are told, unless there is no engine (any more). */
void steward_free(struct steward *s, usec_t now_us);
void steward_set_engine(struct steward *s, struct ike *engine);

/* The configuration is borrowed until the next one.  A reload is done in two steps: what is not in
 * `fresh`, or not the same, ends, and the peers of what stays are moved over (config_peer_keep);
 * then the registrar's terminals change; then what is new is added.  Terminals of the configuration
 * with addresses have a terminal of the registrar by then.  old: NULL at first. */
void steward_prune(struct steward *s, struct config *old, struct config *fresh, usec_t now_us);
void steward_extend(struct steward *s, const struct config *fresh, usec_t now_us);

/* From the engine's callbacks of the same names. */
const struct ike_peer *steward_find_peer(struct steward *s, const struct identity *idi,
					 const struct identity *idr, bool eap);
const struct suite_list *steward_proposals(const struct steward *s);
size_t steward_authorities(const struct steward *s, uint8_t *out, size_t room);
const struct ike_peer *steward_find_eap(struct steward *s, const struct ike_peer *generic,
					const char *user, const char **password);
uint16_t steward_assign(struct steward *s, struct ike_sa *sa, const struct ike_cp *request,
			struct ike_cp *reply);
void steward_sa_up(struct steward *s, struct ike_sa *sa, usec_t now_us);
void steward_sa_down(struct steward *s, struct ike_sa *sa, const char *why, usec_t now_us);
void steward_sa_rekeyed(struct steward *s, struct ike_sa *old, struct ike_sa *fresh);
void steward_sa_moved(struct steward *s, struct ike_sa *sa, const struct ike_path *path,
		      usec_t now_us);
uint16_t steward_child_up(struct steward *s, struct ike_child_up *up, usec_t now_us);
void steward_child_switch(struct steward *s, struct ike_child *child);
void steward_child_down(struct steward *s, struct ike_child *child, const char *why, usec_t now_us);

/* A connection's place was learned, or it became active: the IKE SA follows. */
void steward_placed(struct steward *s, struct conn *c, usec_t now_us);
/* One of another make answers no probe of ours: its IKE SA is asked.  False: it is a Sojourn's. */
bool steward_ask_place(struct steward *s, const struct conn *c, usec_t now_us);
/* ... and answered from there since then. */
bool steward_answered(const struct conn *c, const struct endpoint *from, usec_t since_us);
/* Its lifetime is nearly spent: the child SA is rekeyed. */
void steward_rekey(struct steward *s, struct conn *c, usec_t now_us);
/* The IKE SAs of a terminal, or of all that fit a pattern's, by its name; returns how many. */
unsigned steward_down(struct steward *s, const char *name, usec_t now_us);

/* Is this connection one of ours? */
bool steward_made(const struct conn *c);
/* Is it where its packets come from?  One of another make only as far as its NAT decides that
 * (RFC 7296 2.23, RFC 4555 3.8: with MOBIKE too, by ESP packets). */
bool steward_follows(const struct conn *c);
/* Where the peer of a terminal's configured keys is kept, whatever lines it has. */
struct peer **steward_configured_peer(struct steward *s, struct registrar_terminal *rt);
/* NULL: there is none of this name. */
const struct pool *steward_pool(const struct steward *s, const char *name);
struct steward_counts {
	size_t instances, lines, connections;
};
struct steward_counts steward_counts(const struct steward *s);

#endif
