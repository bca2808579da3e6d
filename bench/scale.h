/* SPDX-License-Identifier: MIT */
/*
 * The scale benchmark: a home server with very many terminals, in one process and without a
 * network.
 *
 *   scale.c        what is measured in which order, and what is printed
 *   scale_fleet.c  the home server and its terminals, loaded through the daemon's own functions
 *   scale_path.c   the packet thread and what it is given to carry
 *   scale_moves.c  what control does while packets flow
 *
 * Threads: main is control, on the first core, with RCU's callbacks; the packet thread has the
 * second one.
 */
#ifndef BENCH_SCALE_H
#define BENCH_SCALE_H

#include <pthread.h>
#include "bench.h"
#include "daemon/home_routes.h"
#include "daemon/role.h"
#include "mobility/registrar.h"

#define SCALE_HOME_NET	 0x0a000000u /* 10/8: the pool */
#define SCALE_AGENT	 0xc0000235u /* 192.0.2.53 */
#define SCALE_HOST	 0xc633640au /* 198.51.100.10: whom they talk to */
#define SCALE_SERVER	 0xcb007101u /* 203.0.113.1 */
#define SCALE_PORT	 4500
#define SCALE_SOCK	 0
#define SCALE_MTU	 1500
#define SCALE_WINDOW	 4096 /* the configuration's default */
#define SCALE_LIFETIME_S 3600
#define SCALE_KEY_LEN	 20 /* AES-128 and the salt of RFC 4106 */
#define SCALE_CONNS	 2  /* of a terminal, at most */

/* --- the home server and its terminals */

struct fleet {
	struct node node;
	struct config cfg;
	struct config_pool pool;
	struct log log;
	uint64_t warnings;
	struct home_routes *routes;
	struct registrar *registrar;
	struct moves *moves;
	uint32_t count;
	/* Of each terminal: */
	struct registrar_terminal **terminals;
	struct conn *(*conns)[SCALE_CONNS];
	uint8_t *active; /* the number of its active connection */
	uint32_t *sent;	 /* how many packets it sent us, by whatever connection */
};

/* Nothing of it is counted: what it needs for itself is there when it returns. */
void fleet_init(struct fleet *f, uint32_t count, const struct fwd_io *io);
void fleet_free(struct fleet *f);
/* Terminal `id` of 0..count-1, with its first connection, which is active. */
void fleet_add(struct fleet *f, uint32_t id);
void fleet_remove(struct fleet *f, uint32_t id);
/* One more connection, which is ready. */
void fleet_add_conn(struct fleet *f, uint32_t id, unsigned k);

/* What follows from the number of a terminal and its connection, so that who sends packets need
 * not look at what the home server keeps: that would warm the caches. */
uint32_t fleet_home(uint32_t id);
uint32_t fleet_care_of(uint32_t id, unsigned k);
uint32_t fleet_spi_in(uint32_t id, unsigned k);
void fleet_key(uint32_t id, unsigned k, bool in, uint8_t key[SCALE_KEY_LEN]);
struct addr addr4(uint32_t host_order);

/* --- packets */

#define SCALE_ONE  true
#define SCALE_MANY false

struct path_io { /* the packet thread's */
	struct fleet *fleet;
	uint64_t random;
	bool one, sweep;  /* always the same terminal; each in turn */
	uint32_t at, len; /* next of a sweep; inner packets' length */
	uint64_t left;	  /* to be given to it */
	uint64_t io_ns;	  /* spent in our half of the I/O */
	uint64_t sent, written;
	uint16_t port;
	/* inbound: sealed packets that wait */
	struct sealed *sealed;
	uint32_t sealed_count, sealed_taken;
	uint8_t *sealed_data;
};

struct flow { /* packets all the time, beside whatever control does */
	uint64_t packets, batches, worst_ns, over_1ms, over_5ms, in_packets;
	double seconds;
};

struct carrier {
	struct path_io io;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t turn;
	void (*job)(struct carrier *c); /* NULL: none */
	bool end;
	_Atomic bool stop;
	/* of a job: in and out */
	bool inbound;
	uint64_t packets;
	double ns_per_packet;
	struct flow flow;
};

struct fwd_io carrier_io(struct carrier *c);
void carrier_start(struct carrier *c, struct fleet *f);
void carrier_stop(struct carrier *c);
/* ns for each packet, the I/O not counted. */
double carrier_measure(struct carrier *c, bool inbound, bool one, uint32_t len, uint64_t packets);
/* One packet each way for each terminal. */
void carrier_touch(struct carrier *c);
void carrier_flow_begin(struct carrier *c);
struct flow carrier_flow_end(struct carrier *c);

/* --- control */

/* Each returns how many in a second. */
double moves_bindings(struct fleet *f, uint64_t changes, uint64_t *random);
double moves_registrations(struct fleet *f, uint32_t requests, uint64_t *random);
/* So many terminals go and come again, as when a reload changes them. */
double moves_reload(struct fleet *f, uint32_t terminals, uint64_t *random);

#endif
