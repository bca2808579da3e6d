/* SPDX-License-Identifier: MIT */
/*
 * The connection table (control side): every connection between a care-of address, with its
 * interface and network, and a server address.  Found by address pair, by SPI and by name; the
 * packet side is its two SAs.
 *
 * A connection does not care where its keys came from.
 */
#ifndef SADB_CONN_H
#define SADB_CONN_H

#include <net/if.h>
#include "base/addr.h"
#include "base/clock.h"
#include "base/hash.h"
#include "sadb/sa.h"

enum conn_state {
	CONN_FORMING, /* no care-of address, or not yet proven to work */
	CONN_READY,   /* works, not in a binding */
	CONN_ACTIVE,  /* in a binding */
	CONN_STALE,   /* worked once; its address is gone or the peer is silent */
	CONN_EXPIRED, /* its lifetime ended */
};
const char *conn_state_text(enum conn_state s);

/* A visited network: the link address of its gateway (zero: unknown). */
struct network {
	uint8_t gateway[6];
};
static inline bool network_known(const struct network *n)
{
	return (n->gateway[0] | n->gateway[1] | n->gateway[2] | n->gateway[3] | n->gateway[4] |
		n->gateway[5]) != 0;
}

#define CONN_NAME_MAX 40

/*
 * The two SAs of one setup.  A connection has one pair, and more while it is rekeyed: what comes on
 * any of them is the connection's; what it sends takes one of them.  A pair that was replaced
 * drains: a packet is easily overtaken by the message that deletes its SA.
 */
#define CONN_DRAIN_US	  (5 * (usec_t)USEC_PER_SEC)
#define CONN_DRAINING_MAX 4 /* of a connection; above it the one that ends first goes at once */
struct conn_pair {
	struct sa *in, *out; /* owned */
	struct conn *conn;
	struct conn_pair *next; /* the one made before it */
	usec_t drained_us;	/* USEC_NEVER, or it drains: until then */
};

struct conn_traffic {
	uint64_t packets, bytes; /* inner */
};

/* In this order it has no holes: a home server has a million of them. */
struct conn {
	char name[CONN_NAME_MAX];
	struct endpoint care_of;     /* terminal's end as seen from here */
	struct endpoint server;	     /* home server's end */
	char interface[IF_NAMESIZE]; /* terminal: serves it now; "" none */
	unsigned ifindex;
	struct network network;
	bool udp;
	bool behind_nat;   /* learned: the care-of address is not the one configured */
	uint8_t draining;  /* pairs */
	bool place_proven; /* home server: something sent to its care-of address was answered */
	uint16_t bid;	   /* server: binding identifier (RFC 5648) its terminal gave it; 0 none */
	enum conn_state state;
	struct sa *in;		     /* of the latest pair */
	struct sa *out;		     /* of the pair in use */
	struct peer *peer;	     /* borrowed */
	void *owner;		     /* terminal entry (server) or the node's configuration of it */
	void *setup;		     /* the role's: what its keys came from; NULL: configured */
	usec_t since_us;	     /* of the state */
	usec_t expires_us;	     /* USEC_NEVER */
	uint32_t link_mtu;	     /* terminal: of the interface; 0 not known */
	uint32_t srtt_us, rttvar_us; /* 0: not measured */
	uint32_t rtt_count;	     /* measurements in them */
	usec_t mtu_told_us;	     /* a router said that the path is narrower; 0: none did */
	struct conn *next;	     /* in the table */
	/* the table's own */
	struct conn *prev;
	struct conn_pair *pairs;     /* latest first */
	struct conn_traffic *before; /* of pairs that are gone: in, out; NULL: none is */
	struct hash_link by_pair;
};

struct conn_table;

typedef void (*conn_state_fn)(void *ctx, struct conn *c, enum conn_state from, enum conn_state to);

/* changed is called (may be NULL) at each change of state: the one place to log and count. */
struct conn_table *conn_table_new(conn_state_fn changed, void *ctx);
void conn_table_free(struct conn_table *t); /* frees the connections, SAs by retire */
/* How the SAs of a removed connection are given back: sa_free_later unless told. */
void conn_table_set_retire(struct conn_table *t, void (*retire)(void *ctx, struct sa *sa),
			   void *ctx);
/* Takes c (from mem_zalloc, with SAs: its first pair).  -EEXIST: inbound SPI or name with this
 * owner is there, and c stays the caller's.  The order of conn_table_first and next is that of
 * addition. */
int conn_table_add(struct conn_table *t, struct conn *c) __attribute__((warn_unused_result));
void conn_table_remove(struct conn_table *t, struct conn *c); /* and frees it */
struct conn *conn_table_first(struct conn_table *t);	      /* then c->next */
/* The latest of several.  A connection without a care-of address has no pair. */
struct conn *conn_find_pair(struct conn_table *t, const struct addr *care_of,
			    const struct addr *server, unsigned ifindex); /* ifindex 0: any */
struct conn *conn_find_spi(struct conn_table *t, uint32_t spi_in);
struct conn *conn_find_name(struct conn_table *t, const void *owner, const char *name);
/* By an SA of any of its pairs, which is only compared: it may be gone, and its place in memory
 * another's.  NULL: no connection has it, with this SPI. */
struct conn *conn_find_sa(struct conn_table *t, const struct sa *sa, uint32_t spi, bool outbound);
size_t conn_table_count(const struct conn_table *t, enum conn_state s);
/* All of them, one after the other, however the table changes meanwhile: each call gives the next
 * one, after the last the first again; NULL when there is none.  One walk in a table. */
struct conn *conn_table_walk(struct conn_table *t);
size_t conn_table_size(const struct conn_table *t);

/* --- rekeying */

/* A fresh pair (taken).  Its inbound SA becomes c->in, with what the one before had heard and is
 * allowed; both get the paths of those before.  c->out stays.  -EEXIST: the inbound SPI is taken,
 * and the SAs stay the caller's. */
int conn_add_pair(struct conn_table *t, struct conn *c, struct sa *in, struct sa *out)
    __attribute__((warn_unused_result));
/* c->out becomes that of the pair with this inbound SPI.  True when it is another one now: active
 * sets name the old one. */
bool conn_use_pair(struct conn *c, uint32_t spi_in);
/* Nothing is sent on the pair any more, and it is neither c->in nor c->out, which are of the latest
 * others; what comes on it is still taken.  false: there is none with this inbound SPI, it drains
 * already, or it is the last one (then the connection goes). */
bool conn_drain_pair(struct conn *c, uint32_t spi_in, usec_t now_us)
    __attribute__((warn_unused_result));
/* Takes out one that has drained by now_us, or is one too many; NULL: none.  When nothing names
 * its SAs any more: conn_pair_retire. */
struct conn_pair *conn_take_drained(struct conn_table *t, struct conn *c, usec_t now_us)
    __attribute__((warn_unused_result));
bool conn_sa_drains(const struct conn *c, const struct sa *sa);
void conn_pair_retire(struct conn_table *t, struct conn_pair *pair); /* SAs by retire */

/* The one function that changes a state. */
void conn_set_state(struct conn_table *t, struct conn *c, enum conn_state s, usec_t now_us);
/* Inbound SAs: in the peer's binding or not. */
void conn_set_active(struct conn *c, bool on);
/* ... and how long they are accepted without it, where the peer is strict; 0: not. */
void conn_set_drain(struct conn *c, usec_t until_us);
/* The highest authentic number on any of its pairs; 0: none. */
uint64_t conn_newest(const struct conn *c);
/* The last authentic packet, on whatever SA; 0: none. */
usec_t conn_heard_us(const struct conn *c);
/* What came in on it, and went out, since it was made. */
struct conn_traffic conn_rx(const struct conn *c);
struct conn_traffic conn_tx(const struct conn *c);
/* The pair by which conn_find_pair finds it. */
void conn_set_pair(struct conn_table *t, struct conn *c, const struct endpoint *care_of,
		   const struct endpoint *server);
/* Encapsulated or not, since a NAT came or went.  Its path, which has to fit, is taken away before
 * and set again. */
void conn_set_udp(struct conn *c, bool udp);
/* -EEXIST: another one with its owner has this name. */
int conn_set_name(struct conn_table *t, struct conn *c, const char *name)
    __attribute__((warn_unused_result));
/* The owner by which conn_find_name finds it. */
void conn_set_owner(struct conn_table *t, struct conn *c, void *owner);
/* A round trip was measured (RFC 6298 smoothing). */
void conn_round_trip(struct conn *c, uint32_t rtt_us);
/* First retransmission: the measured round trip and a margin; `initial_us` when unmeasured. */
uint32_t conn_rto_us(const struct conn *c, uint32_t initial_us);

#endif
