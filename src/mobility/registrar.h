/* SPDX-License-Identifier: MIT */
/*
 * The home server's side of registration and its mobility bindings (RFC 5944 3.8, RFC 6275
 * 10.3).  Sans-I/O: it is given messages, events and the time, and calls back.
 *
 * A binding maps a home address to the connections that are active for it.  Everything that
 * changes one goes through one function inside (explicit request, authenticated data,
 * completed setup), which records why.
 */
#ifndef MOBILITY_REGISTRAR_H
#define MOBILITY_REGISTRAR_H

#include "base/addr.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/heap.h"
#include "base/log.h"
#include "mobility/moves.h"
#include "sadb/conn.h"

#define REGISTRAR_HOMES_MAX    4
#define REGISTRAR_KEY_MAX      64
#define REGISTRAR_PREFIXES_MAX 8

/* What changed a binding last. */
enum binding_why { BINDING_BY_REQUEST, BINDING_BY_DATA, BINDING_BY_SETUP };
const char *binding_why_text(enum binding_why w);

/* Sets of them: which kinds of registration a terminal may make a connection active by. */
#define BINDING_MAY(why)    (1u << (why))
#define BINDING_MAY_DEFAULT (BINDING_MAY(BINDING_BY_REQUEST) | BINDING_MAY(BINDING_BY_SETUP))

/* A terminal as the home server's configuration has it, or as the setup of its connections made it.
 * A home server has a million of them, each with a binding: they have room for what they hold, and
 * no more. */
struct registrar_terminal {
	char name[CONN_NAME_MAX];
	uint8_t home_count, home_room;
	uint8_t prefix_count;	 /* behind the terminal; follow homes[0] */
	uint8_t connections_max; /* active at once; 1: no simultaneous bindings */
	uint32_t mn_ha_spi;	 /* >= 256 */
	uint16_t lifetime_max_s;
	uint16_t size;	      /* in memory */
	uint64_t ncast_class; /* DSCPs that go out on all active connections; 0: all */
	uint8_t mn_ha_key_len, mn_ha_key_room;
	uint8_t may;	  /* BINDING_MAY; BINDING_MAY_DEFAULT unless set */
	uint16_t drain_s; /* a connection that leaves a binding is still accepted so long */
	/* Behind it; see registrar_terminal_new. */
	struct addr *homes; /* each has its own binding */
	struct prefix *prefixes;
	uint8_t *mn_ha_key;
	/* Borrowed.  Of the connections that were set up last: a connection is the terminal's when
	 * its peer's owner is the terminal, be it this peer or an earlier one. */
	struct peer *peer;
	/* Kept by the registrar: */
	struct binding **bindings;    /* behind it as well */
	uint64_t last_identification; /* highest accepted */
	uint64_t data_number;	      /* of the packet that registered by data last */
	bool left;		      /* a request emptied a binding, and nothing came after it */
	uint32_t last_hello6;	      /* epoch of the last hello that came with a Binding Update */
	struct registrar_terminal *next, *prev;
};

struct binding {
	struct addr home;
	uint8_t count;
	bool has_sequence;
	uint16_t sequence; /* last Binding Update's */
	uint16_t lifetime_s;
	enum binding_why why;
	struct registrar_terminal *terminal;
	usec_t since_us, expires_us; /* USEC_NEVER: infinite */
	/* the registrar's own */
	struct heap_item expiry;
	struct binding *next, *prev;
	struct conn *conns[]; /* as many as the terminal may have active at once */
};

/* What a message came with. */
struct registrar_arrival {
	struct conn *conn;
	struct addr src, dst; /* inner */
	bool hello;	      /* it announced a new epoch (number is E<<32|E) */
	uint64_t number;
	usec_t now_us;
	uint64_t wall_us;
};

struct registrar_ops {
	void *ctx;
	/* An inner payload (UDP 434 payload, or a Mobility Header message) to the terminal, on
	 * conn, from src to dst; `port` is the terminal's UDP port.  hello: begin a new epoch. */
	void (*send_reply4)(void *ctx, struct conn *conn, const struct addr *src,
			    const struct addr *dst, uint16_t port, const uint8_t *msg, size_t len,
			    bool hello);
	void (*send_reply6)(void *ctx, struct conn *conn, const struct addr *src,
			    const struct addr *dst, const uint8_t *msg, size_t len, bool hello);
	/* A denial to a terminal that cannot follow our numbers now: sent with a hello number of
	 * its own (random E, number E << 32 | E) that does NOT begin an epoch; what else goes to
	 * this terminal keeps its numbers.  So a replayed hello request, which gets a denial,
	 * disturbs nothing.  Either may be NULL: the denial then goes out with the next number. */
	void (*send_denial4)(void *ctx, struct conn *conn, const struct addr *src,
			     const struct addr *dst, uint16_t port, const uint8_t *msg, size_t len);
	void (*send_denial6)(void *ctx, struct conn *conn, const struct addr *src,
			     const struct addr *dst, const uint8_t *msg, size_t len);
	/* The binding is as it should be published now (count 0: gone).  Called before the reply
	 * is sent, so that packets go the new way at once. */
	void (*binding_changed)(void *ctx, const struct binding *b);
	/* Numbers of this peer go on from a hello: reset its window. */
	void (*epoch_accepted)(void *ctx, struct conn *conn, uint64_t number);
	/* Epoch (high half) of the numbers we send to this peer now. */
	uint32_t (*epoch_sent)(void *ctx, struct conn *conn);
};

struct registrar_counters {
	uint64_t requests, accepted, denied[256], silent, deregistrations, expired;
	uint64_t overtaken;	    /* requests that newer packets of the terminal came before */
	uint64_t by_data, by_setup; /* bindings changed so */
	uint64_t data_denied;
};

struct registrar;
/* home_agents: our inner addresses (at most 8, copied).  moves, table: borrowed. */
struct registrar *registrar_new(const struct registrar_ops *ops, const struct addr *home_agents,
				uint8_t home_agent_count, struct conn_table *table,
				struct moves *moves, const struct log *log);
void registrar_free(struct registrar *r);

/* Zeroed, with room for so many home addresses (at most REGISTRAR_HOMES_MAX), so many prefixes and
 * so long a key (at most REGISTRAR_KEY_MAX). */
struct registrar_terminal *registrar_terminal_new(uint8_t homes, uint8_t prefixes, size_t key_len)
    __attribute__((returns_nonnull));
void registrar_terminal_free(struct registrar_terminal *t); /* never added; wipes */
/* The key is copied; it has room. */
void registrar_set_key(struct registrar_terminal *t, uint32_t spi, const uint8_t *key, size_t len);
/* Takes t, and becomes the owner of its peer (NULL: none yet).  -EEXIST: a home
 * address is taken.  MN-HA SPIs need not differ: the connection says which terminal it is. */
int registrar_add(struct registrar *r, struct registrar_terminal *t)
    __attribute__((warn_unused_result));
/* The terminal's connections to come are of this peer. */
void registrar_set_peer(struct registrar_terminal *t, struct peer *peer);
/* With its bindings.  Connections of earlier peers of the terminal must be gone. */
void registrar_remove(struct registrar *r, struct registrar_terminal *t);
struct registrar_terminal *registrar_find(struct registrar *r, const char *name);

/* A UDP payload that came to port 434; sport is the sender's port. */
void registrar_request4(struct registrar *r, const struct registrar_arrival *a, uint16_t sport,
			const uint8_t *msg, size_t len);
/* A Mobility Header message. */
void registrar_request6(struct registrar *r, const struct registrar_arrival *a, const uint8_t *msg,
			size_t len);

/* The completion of an SA setup, which the terminal's authentication was part of, registers `conn`:
 * it becomes the active connection of the named homes (count 0: all of the terminal).  `wish_s`
 * is the lifetime asked for; 0: as long as the terminal may (a peer of another make).  `forever`:
 * until the connection goes.  Returns the code (RFC 5944) and the lifetime granted. */
struct registrar_setup {
	struct conn *conn;
	const struct addr *homes;
	uint8_t home_count;
	uint16_t wish_s;
	bool forever;
	usec_t now_us;
	uint64_t wall_us;
};
uint8_t registrar_set_up(struct registrar *r, const struct registrar_setup *s, uint16_t *granted_s);

/*
 * Authenticated data registers the connection it came on: it becomes the active one of all home
 * addresses of its terminal.  The caller vouches that the packet is authentic, was not seen before
 * and was, when it came, the newest of its sequence space (its number the highest): so neither a
 * replayed nor a reordered one moves a binding back.  Here it is looked at once more: nothing newer
 * came on what is active now.  A binding so made lasts as long as its connection is heard within
 * the terminal's lifetime.  After a request that ended a binding data alone begins none again: who
 * came home may have had packets under way.  The way of the packet does not matter: an ESP packet,
 * or one whose AH covers the outer addresses.
 */
enum registrar_data_verdict {
	REGISTRAR_DATA_MOVED,
	REGISTRAR_DATA_SAME, /* it is the active one already */
	REGISTRAR_DATA_LATE,
	REGISTRAR_DATA_DENIED, /* not allowed, or its numbers say nothing about other connections;
				* counted */
};
struct registrar_data {
	struct conn *conn;
	uint64_t number; /* of the packet, 64 bits */
	bool said;	 /* it says itself that the connection is used: not just data */
	usec_t now_us;
	uint64_t wall_us;
};
enum registrar_data_verdict registrar_data(struct registrar *r, const struct registrar_data *d);
/* It is the active one of all home addresses, by data. */
bool registrar_is_by_data(const struct conn *c);

/* Other rules from now (a reload). */
void registrar_set_policy(struct registrar_terminal *t, uint8_t may, uint16_t drain_s);

/* An active connection goes to another place without another connection (MOBIKE, its NAT, or by
 * data with AH): on the timeline of each terminal's moves. */
void registrar_note_place(struct registrar *r, const struct conn *c, const char *from,
			  const char *to, const char *why, bool by_data, usec_t now_us,
			  uint64_t wall_us);

/* The connection cannot be used any more (expired, removed): leaves every binding. */
void registrar_conn_gone(struct registrar *r, struct conn *c, usec_t now_us);
/* Ends what has expired; returns the next deadline (USEC_NEVER: none). */
usec_t registrar_tick(struct registrar *r, usec_t now_us);

const struct binding *registrar_first(const struct registrar *r); /* then b->next */
const struct registrar_counters *registrar_counters(const struct registrar *r);

#endif
