/* SPDX-License-Identifier: MIT */
/*
 * The terminal's side: which connection serves which care-of address, which one is active, and
 * the registration that makes it so (RFC 5944 3.6, RFC 6275 11.7).  Sans-I/O.
 *
 * A connection is attached when its interface (or network) has a care-of address, proven when
 * something authenticated came back over it, active when it is the best proven one (in the
 * configured order), or the best unproven one when none is proven.
 *
 *  - The active one works and a better one appears: probe the better one, then move
 *    (make before break).
 *  - The active one is gone or silent: move to the best of the others at once; data flows
 *    without waiting for the reply (break before make).
 *  - A care-of address that nothing serves takes a spare connection, and its packets flow at
 *    once; without a spare one is asked for (ops.wanted).
 *  - A request unanswered is sent again after the measured round trip and a margin, doubling;
 *    after two it says "hello" (the server may have restarted and lost our numbers); after a
 *    few more the connection is stale and the next one is tried.
 *  - With n-casting, all others that work are active beside the best one.
 */
#ifndef MOBILITY_MOVER_H
#define MOBILITY_MOVER_H

#include <net/if.h>
#include "base/addr.h"
#include "base/clock.h"
#include "base/log.h"
#include "mobility/moves.h"
#include "sadb/conn.h"

#define MOVER_HOMES_MAX		   4
#define MOVER_CARE_OFS_MAX	   32
#define MOVER_KEY_MAX		   64
#define MOVER_NCAST_INTERFACES_MAX 8

/* An address the terminal can be reached at now. */
struct care_of {
	struct addr addr;
	char interface[IF_NAMESIZE];
	unsigned ifindex;
	struct network network; /* may become known later */
	struct addr gateway;	/* none: no default route of this family on the interface */
	uint32_t mtu;		/* of the interface */
};

/* What a connection wants on the terminal: by the configuration, or by what it was made for. */
struct mover_connection {
	struct conn *conn;	     /* borrowed, in the table */
	char interface[IF_NAMESIZE]; /* "" any */
	bool has_network;	     /* serves the network with this gateway only */
	struct network network;
	int preference; /* lower is better */
	/* Made by a key exchange for one network: when that is not known yet, it becomes the first
	 * one that is known where it has its address. */
	bool made;
	/* Made for no network: it is taken by the first care-of address that nothing serves, and
	 * then is one made for that. */
	bool spare;
	/* Its setup registered it already, for so long; 0: it did not. */
	uint16_t registered_s;
};

struct mover_config {
	char terminal[CONN_NAME_MAX]; /* our name, for the timeline */
	uint8_t home_count;
	struct addr homes[MOVER_HOMES_MAX];
	struct addr home_agent4, home_agent6; /* inner addresses of the home server */
	uint32_t mn_ha_spi;
	uint8_t mn_ha_key[MOVER_KEY_MAX];
	size_t mn_ha_key_len;
	uint16_t lifetime_s;
	bool by_data; /* moves by using a connection, and asks only where that does not do */
	uint32_t probe_idle_us;	 /* active: ask when we sent and heard nothing for this long */
	uint32_t probe_spare_us; /* others: ask this often (keeps NAT and round trip known) */
	uint32_t initial_rto_us; /* first one on a connection never measured */
	/* Home: an interface in this network (gateway's link address), or with an address in
	 * home_prefix whose gateway address is home_gateway. */
	bool has_home_network;
	struct network home_network;
	bool has_home_prefix;
	struct prefix home_prefix;
	char home_interface[IF_NAMESIZE]; /* "": any */
	struct addr home_gateway;
	/* N-casting: MOVER_NCAST_*, and the interfaces it may use (none told: all). */
	uint8_t ncast;
	uint8_t ncast_interface_count;
	char ncast_interfaces[MOVER_NCAST_INTERFACES_MAX][IF_NAMESIZE];
};

/* The home server sends to us on every active connection; we send on every one. */
#define MOVER_NCAST_DOWN 1
#define MOVER_NCAST_UP	 2

struct mover_ops {
	void *ctx;
	/* conn serves care_of from now: sockets, path.  mover_attached answers (may be called from
	 * inside). */
	void (*attach)(void *ctx, struct conn *conn, const struct care_of *care_of);
	void (*detach)(void *ctx, struct conn *conn);
	/* A spare connection is for care_of from now (attach follows): its server address is to be
	 * one of that family.  Returns its preference. */
	int (*spare_taken)(void *ctx, struct conn *conn, const struct care_of *care_of);
	/* Nothing serves care_of, and no spare is left.  Said again at each change while it is so.
	 * This one and spare_taken may be NULL when all connections are configured. */
	void (*wanted)(void *ctx, const struct care_of *care_of);
	/* A UDP 434 payload (family 4) or a Mobility Header message (family 6), from src (home
	 * address) to dst (home agent), over conn.  hello_epoch not 0: a new epoch starts. */
	void (*send_request)(void *ctx, struct conn *conn, const struct addr *src,
			     const struct addr *dst, const uint8_t *msg, size_t len,
			     uint32_t hello_epoch);
	void (*send_probe)(void *ctx, struct conn *conn, uint64_t id);
	/* A probe that says that we use this connection.  NULL: by_data is not possible. */
	void (*send_use)(void *ctx, struct conn *conn, uint64_t id);
	/* Our packets go out on these from now (count 0: none). */
	void (*activate)(void *ctx, struct conn *const *conns, uint8_t count);
	/* At home on this care-of address (NULL: away again): native addresses and routes. */
	void (*home)(void *ctx, const struct care_of *at);
	/* The server's numbers go on from a hello. */
	void (*epoch_accepted)(void *ctx, struct conn *conn, uint64_t number);
	/* Epoch of the server's numbers as our window has it; 0: none. */
	uint32_t (*epoch_heard)(void *ctx, struct conn *conn);
	uint64_t (*wall_us)(void *ctx);
	void (*random)(void *ctx, void *out, size_t len);
};

struct mover;
struct mover *mover_new(const struct mover_config *cfg, const struct mover_ops *ops,
			struct conn_table *table, struct moves *moves, const struct log *log);
void mover_free(struct mover *m);

/* 0 or -EEXIST.  conn must have an owner-independent place in the table already. */
int mover_add(struct mover *m, const struct mover_connection *c, usec_t now_us)
    __attribute__((warn_unused_result));
void mover_remove(struct mover *m, struct conn *conn, usec_t now_us);

/* Every usable care-of address as it is now; `cause` says what changed ("wlan0 carrier lost"),
 * at_us when the system told. */
void mover_care_ofs(struct mover *m, const struct care_of *list, size_t n, const char *cause,
		    usec_t at_us, usec_t now_us);
void mover_attached(struct mover *m, struct conn *conn, bool ok, usec_t now_us);

/* Says again what is wanted: connections may be made now. */
void mover_look(struct mover *m, usec_t now_us);

/* Another server, or the same one afresh: its inner addresses (family 0: none), the key for
 * registrations (IPv4), and its clock as an RFC 5944 timestamp (0: not told). */
struct mover_agent {
	struct addr home_agent4, home_agent6;
	uint32_t mn_ha_spi;
	const uint8_t *mn_ha_key;
	size_t mn_ha_key_len; /* at most MOVER_KEY_MAX */
	uint64_t clock;
};
void mover_set_agent(struct mover *m, const struct mover_agent *a);

/* Registration replies: UDP 434 payload / Mobility Header message. */
void mover_reply4(struct mover *m, struct conn *conn, const uint8_t *msg, size_t len, bool hello,
		  uint64_t number, usec_t now_us);
void mover_reply6(struct mover *m, struct conn *conn, const struct addr *src,
		  const struct addr *dst, const uint8_t *msg, size_t len, bool hello,
		  uint64_t number, usec_t now_us);
void mover_probe_reply(struct mover *m, struct conn *conn, uint64_t id, usec_t now_us);
/* Looks at the SAs' last_us (heard, sent), retransmits, re-registers, probes.  Returns the next
 * deadline. */
usec_t mover_tick(struct mover *m, usec_t now_us);

/* A person's or a policy's wish: conn is the best as long as it works (make before break where
 * possible).  NULL: back to the configured order.  -ENOENT: conn is not one of the mover's (it
 * expired), and nothing changes. */
int mover_pin(struct mover *m, struct conn *conn, usec_t now_us);
/* The configured order changed. */
void mover_prefer(struct mover *m, struct conn *conn, int preference, usec_t now_us);

/* N-casting from now: MOVER_NCAST_*, or 0. */
void mover_set_ncast(struct mover *m, uint8_t ncast, usec_t now_us);
uint8_t mover_ncast(const struct mover *m);

/* Other times from now (struct mover_config). */
void mover_set_times(struct mover *m, uint32_t probe_idle_us, uint32_t probe_spare_us,
		     uint32_t initial_rto_us);

/* By data, or by requests, from the next move on. */
void mover_set_by_data(struct mover *m, bool on);

/* For display. */
enum mover_place { MOVER_DETACHED, MOVER_AWAY, MOVER_HOME };
enum mover_place mover_place(const struct mover *m);
bool mover_registered(const struct mover *m, const struct addr *home, usec_t *expires_us,
		      uint8_t *last_code);
/* "request", "data", "setup"; "none" when it is not registered. */
const char *mover_registered_by(const struct mover *m, const struct addr *home);
/* The home server's inner address of this family; none: not known. */
struct addr mover_home_agent(const struct mover *m, uint8_t family);
/* Some connection is attached and not silent. */
bool mover_works(const struct mover *m);
/* The connection that is active; NULL: none. */
struct conn *mover_active(const struct mover *m);
/* All that are active, that one first; returns how many. */
uint8_t mover_active_set(const struct mover *m, struct conn *out[ACTIVE_MAX]);

#endif
