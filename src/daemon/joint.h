/* SPDX-License-Identifier: MIT */
/*
 * Where IKEv2 and mobility meet.  `ike` makes child SAs and knows nothing of bindings; `mobility`
 * chooses among connections and knows nothing of how they are made.  Two sans-I/O joints bring
 * them together: keeper.c on a terminal, steward.c on a home server.  This is what both need of
 * the node; node_joint.c has the real thing, tests/sim one in virtual time.
 *
 * A child SA's user pointer (ike_child_user) is its struct conn, or NULL.  While a child SA is
 * rekeyed several child SAs have the same connection, whose SAs are those of the newest.
 */
#ifndef DAEMON_JOINT_H
#define DAEMON_JOINT_H

#include "ike/ike.h"
#include "sadb/conn.h"

struct joint_peer {
	uint8_t prefix_count; /* inner addresses of the terminal: sources it may use (home server),
			       * destinations that are its own (terminal) */
	struct prefix prefixes[PEER_PREFIXES_MAX];
	bool is_home_server; /* the other side is */
	bool strict;
	bool implied; /* data may register */
	uint32_t replay_packets;
	void *owner;
};

struct joint_ops {
	void *ctx;
	/* The packet path's view of the other node.  One for each line of IKE SAs (an
	 * authentication and its rekeys): numbers begin at 1 with its keys. */
	struct peer *(*peer_new)(void *ctx, const struct joint_peer *p);
	void (*peer_retire)(void *ctx, struct peer *peer); /* after its connections went */
	/* A connection with up's SAs, in table and SADB, without a path (care-of and server address
	 * none).  NULL: it could not be made; says so in the log. */
	struct conn *(*conn_make)(void *ctx, const struct ike_child_up *up, const char *name,
				  struct peer *peer, void *owner);
	/* up's SAs beside those that c has: the inbound one receives from now, the outbound one
	 * waits for conn_switch.  0 or -errno. */
	int (*conn_rekey)(void *ctx, struct conn *c, const struct ike_child_up *up);
	/* Outbound packets take the pair with this inbound SPI; active sets follow. */
	void (*conn_switch)(void *ctx, struct conn *c, uint32_t spi_in);
	/* One of several child SAs of c went: its pair ends, the newest of the others is c's,
	 * active sets follow. */
	void (*conn_drop)(void *ctx, struct conn *c, uint32_t spi_in);
	/* Out of table and SADB, freed. */
	void (*conn_remove)(void *ctx, struct conn *c);
	/* Where its packets go and whence they are expected; NULL: nowhere. */
	void (*conn_path)(void *ctx, struct conn *c, const struct ike_path *path);
};

/* The key of registrations inside the connections of an IKE SA: the same on both sides from the
 * moment it is up, kept through its rekeys.  0 or -1. */
#define JOINT_KEY_LEN 32
#define JOINT_KEY_SPI                                                                              \
	256 /* of the MN-HA authentication extension; RFC 5944 reserves lower ones                 \
	     */
int joint_registration_key(const struct ike_sa *sa, uint8_t key[JOINT_KEY_LEN])
    __attribute__((warn_unused_result));

/* Another child SA than `child` that has the same connection, the newest; NULL: none. */
struct ike_child *joint_other_child(struct ike_child *child);
/* c is about to go: no child SA of sa names it any longer. */
void joint_forget(struct ike_sa *sa, const struct conn *c);

/* When the connections of an IKE SA were heard last; for ike_ops.heard_us. */
usec_t joint_heard_us(struct ike_sa *sa);

#endif
