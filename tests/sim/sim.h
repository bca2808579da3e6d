/* SPDX-License-Identifier: MIT */
/*
 * Two whole nodes' mobility in one process and in virtual time.
 *
 *                    +-- link 0 "wifi" --+
 *   terminal (mover) +-- link 1 "cell" --+ server (registrar)
 *                    +-- link 2 "eth"  --+
 *                    +-- link 3 "home" --+   (the home link; a connection serves it or not)
 *
 * The real mover, registrar, connection table and replay windows; a light model of the packet
 * path between them: every packet has a 64-bit number of which the low half travels, and
 * "authenticates" when the receiver infers the right one.  So restarts and hellos are real.
 *
 * In some seeds the terminal registers by data (implied registration), which the server permits or
 * not.  A binding never moves to an older packet's source: what moves it by data has the highest
 * number of all that came.
 *
 * sim.c: time, the script of changes, the invariants.  sim_net.c: links.  sim_nodes.c: the
 * nodes.
 */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include "mobility/mover.h"
#include "mobility/moves.h"
#include "mobility/registrar.h"

#define LINKS	  4
#define LINK_HOME 3
#define HOMES	  2
#define PAYLOAD	  200
#define RECORDED  64

enum packet_kind {
	PACKET_DATA,
	PACKET_REQUEST,
	PACKET_REPLY,
	PACKET_PROBE,
	PACKET_PROBE_REPLY,
	PACKET_USE
};

struct packet {
	enum packet_kind kind;
	bool up;
	int conn;
	int link;
	unsigned nat;
	uint64_t number;
	uint64_t probe;
	uint64_t payload; /* of data: which one */
	struct addr src, dst;
	uint16_t len;
	uint8_t data[PAYLOAD];
};

enum event_kind {
	EVENT_PACKET,
	EVENT_CARE_OFS,
	EVENT_ATTACHED,
	EVENT_DATA,
	EVENT_CHANGE,
	EVENT_REPLAY
};

struct event {
	usec_t at_us;
	uint64_t order;
	enum event_kind kind;
	int conn;
	unsigned life; /* of the node it is for */
	struct packet *packet;
	char cause[24];
};

struct link {
	bool up; /* the terminal has an address there */
	bool network_known;
	bool deaf_up, deaf_down; /* black-holed without a link event */
	unsigned nat;		 /* mapping; a packet to an older one is lost */
	uint32_t delay_us, jitter_us;
	uint32_t loss_permille, dup_permille;
};

struct place {
	bool known;
	int link;
	unsigned nat;
};

#define DELIVERED 4096

/* Which data came to whom they were for, by their numbers among the data of one sender. */
struct delivered {
	uint64_t seen[DELIVERED / 64];
	uint64_t newest;
};

struct terminal {
	unsigned life;
	struct peer peer;
	struct conn_table *table;
	struct conn *conns[LINKS];
	int links[LINKS]; /* that each connection is attached to, -1 */
	struct mover *mover;
	struct moves *moves;
	int active;		   /* -1 */
	int set[LINKS], set_count; /* that packets go out on */
	usec_t set_us;		   /* since */
	struct delivered delivered;
	bool home;
	uint32_t epoch_heard;
	usec_t tick_us;
	usec_t data_us; /* last data heard */
	int64_t clock_us;
};

struct server {
	unsigned life;
	struct peer peer;
	struct conn_table *table;
	struct conn *conns[LINKS];
	struct place places[LINKS];
	struct place arrival; /* of the request being handled */
	struct registrar *registrar;
	struct moves *moves;
	usec_t tick_us;
	usec_t data_us;
	uint64_t accepted_id;
	bool strict;
	uint8_t may; /* kinds of registration */
	/* of the packet being handled, and of all so far in this epoch */
	uint64_t number, newest[LINKS], top;
	int top_conn;
	struct delivered delivered;
};

struct sim {
	uint64_t seed, rng;
	bool verbose;
	struct log log;
	usec_t now_us;
	struct event *heap;
	size_t count, room;
	uint64_t order;
	struct link links[LINKS];
	struct terminal t;
	struct server s;
	/* of the seed */
	uint8_t home_count;
	struct addr homes[HOMES];
	bool home_conn; /* a connection serves the home link */
	bool any_conn;	/* connection 2 serves any interface */
	uint16_t lifetime_s;
	bool by_data; /* the terminal's way of registration */
	bool attach_later;
	uint8_t ncast, connections_max;
	uint64_t payload_up, payload_down;
	uint64_t copies_dropped;
	/* the attacker's */
	struct packet recorded[RECORDED];
	unsigned recorded_count;
	usec_t server_began_us;
	unsigned changes_left;
	usec_t changed_us;
	usec_t care_ofs_us;
	uint64_t ticks_here;
	usec_t ticks_at_us;
	uint64_t packets;
	char why[200];
};

/* sim.c */
uint64_t sim_random(struct sim *s);
uint32_t sim_below(struct sim *s, uint32_t n);
bool sim_chance(struct sim *s, uint32_t permille);
struct event *sim_push(struct sim *s, usec_t at_us, enum event_kind kind);
void sim_fail(struct sim *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void sim_say(struct sim *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* sim_net.c */
void net_send(struct sim *s, const struct packet *p);
void net_arrive(struct sim *s, struct packet *p);
void net_replay(struct sim *s);
size_t net_care_ofs(struct sim *s, struct care_of *out);
extern const char *const link_names[LINKS];

/* sim_nodes.c */
void terminal_start(struct sim *s);
void terminal_stop(struct sim *s);
void server_start(struct sim *s);
void server_stop(struct sim *s);
void terminal_receive(struct sim *s, const struct packet *p);
void server_receive(struct sim *s, const struct packet *p);
void terminal_send_data(struct sim *s);
void server_send_data(struct sim *s);
void server_check_bindings(struct sim *s);

#endif
