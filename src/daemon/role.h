/* SPDX-License-Identifier: MIT */
/*
 * What node.c has in common for both roles, and what a role adds.  A home server and a
 * terminal are the same node with another configuration; home.c and terminal.c are thin.
 * Everything here belongs to the control thread.
 */
#ifndef DAEMON_ROLE_H
#define DAEMON_ROLE_H

#include <jansson.h>
#include "daemon/config.h"
#include "forward/fwd.h"
#include "ike/ike.h"
#include "mobility/moves.h"
#include "platform/loop.h"
#include "platform/netreq.h"
#include "platform/pktio.h"
#include "sadb/conn.h"
#include "sadb/sadb.h"
#include "wire/esp.h"

struct node;

/* After the kernel's route into the TUN device went, what it had put there is still read. */
#define ROLE_DRAIN_US (100 * USEC_PER_MS)

/* An event of the packet path that a role looks at, with its connection found. */
struct role_arrival {
	const struct fwd_event *event;
	struct conn *conn;
	struct path back; /* to where the packet came from */
};

struct role {
	int (*start)(struct node *n, struct err *err);
	void (*stop)(struct node *n);
	/* A registration message (a whole inner packet) / a probe's reply / the peer's new place.
	 */
	void (*control_packet)(struct node *n, const struct role_arrival *a);
	void (*probe_reply)(struct node *n, const struct role_arrival *a, uint64_t id);
	void (*moved)(struct node *n, const struct role_arrival *a);
	/* The peer uses a connection that is not active (data, or a probe that says so).  True: it
	 * is active now, and stays so as long as it is used. */
	bool (*used)(struct node *n, const struct role_arrival *a);
	/* The path's MTU changed, and with it what fits into the connection. */
	void (*mtu_changed)(struct node *n, struct conn *c);
	void (*expired)(struct node *n, struct conn *c); /* before its state changes */
	/* c->out is another one: nothing published may name the one before when this returns. */
	void (*out_changed)(struct node *n, struct conn *c);
	/* So much went over it, one way, that it should be rekeyed.  NULL: never is. */
	void (*rekey_wanted)(struct node *n, struct conn *c, bool outbound);
	usec_t (*tick)(struct node *n, usec_t now_us);
	void (*sweep)(struct node *n, struct conn *c, usec_t now_us); /* each, once a second */
	/* Differences between n->cfg and fresh are carried out; then n->cfg is replaced. */
	int (*reload)(struct node *n, struct config *fresh, struct err *err);
	void (*status)(struct node *n, json_t *out);
	json_t *(*bindings)(struct node *n);
	/* NULL with err set in *error when the command is not known. */
	json_t *(*command)(struct node *n, const char *command, const json_t *request);
};

extern const struct role role_home;
extern const struct role role_terminal;

struct node {
	struct config *cfg;
	struct log own_log; /* its level changes with a reload */
	const struct log *log;
	const struct role *role;
	void *state; /* the role's */
	struct loop *loop;
	struct loop_timer *timer;
	struct netreq_client *net;
	struct pktio *pktio;
	struct fwd *fwd;
	struct sadb *sadb;
	struct conn_table *table;
	struct moves *moves;
	struct control *control;
	struct node_ike *ike;	    /* NULL: nobody listens */
	struct node_engine *engine; /* NULL: no IKEv2 */
	struct outlets *outlets;    /* of a terminal */
	usec_t start_us, sweep_us, sweep_round_us;
	size_t sweep_left; /* of this second's round */
	uint32_t tun_mtu;
	int exit_status;
};

/* A peer and whose it is; freed by rcu after its SAs. */
struct node_peer_config {
	const struct addr *homes;
	uint8_t home_count;
	const struct prefix *prefixes;
	uint8_t prefix_count;
	uint32_t replay_packets; /* of the space that its SAs share, or each has */
	bool strict, is_home_server;
	bool implied;	      /* data may register (struct peer) */
	bool configured_keys; /* numbers in epochs (sadb/sa.h) */
};
struct peer *node_peer_make(const struct node_peer_config *cfg);
/* Of configured keys. */
struct peer *node_peer_new(const struct config_terminal *t, bool is_home_server);
void node_peer_retire(struct node *n, struct peer *peer);

/* A connection by the configuration, in table and SADB; NULL with err. */
struct conn *node_conn_add(struct node *n, const struct config_connection *c, struct peer *peer,
			   void *owner, struct err *err);
void node_conn_remove(struct node *n, struct conn *c);

/* What a key exchange made. */
struct node_made {
	const struct ike_child_up *up;
	uint32_t replay_packets;	     /* window, where the SA has a space of its own */
	uint64_t rekey_packets, rekey_bytes; /* in one direction; 0 never */
	/* of a new connection */
	const char *name;
	struct endpoint care_of; /* family 0: none yet (a spare one) */
	struct endpoint server;
	struct peer *peer; /* borrowed */
	void *owner;
	/* of one in transport mode, rekeyed ones too */
	struct addr fixed_local, fixed_remote;
};
/* In table and SADB, without a path; NULL with err. */
struct conn *node_conn_new(struct node *n, const struct node_made *made, struct err *err);
/* Fresh SAs of the same connection: the inbound one works from now, and c->in is it.  0, or -1 with
 * err and nothing changed. */
int node_conn_rekey(struct node *n, struct conn *c, const struct node_made *made, struct err *err)
    __attribute__((warn_unused_result));
/* Packets go out on the pair with this inbound SPI from now (role->out_changed). */
void node_conn_use(struct node *n, struct conn *c, uint32_t spi_in);
/* The pair with this inbound SPI drains, and goes then (conn_drain_pair).  False when it is the
 * connection's last one, or none of its own: the connection is as it was. */
bool node_conn_drop(struct node *n, struct conn *c, uint32_t spi_in);
/* Ends the pairs that have drained. */
void node_conn_sweep(struct node *n, struct conn *c, usec_t now_us);
/* Publishes where the connection's packets go and whence they are expected (local, remote swap
 * ends for `in`).  NULL: nowhere. */
void node_conn_set_path(struct conn *c, const struct path *path);
/* On trial (sadb/trial.h): where packets come from, and may not arrive. */
void node_conn_try_path(struct conn *c, const struct path *path, uint64_t credit,
			const struct path *fallback);
/* The path it has, whatever that is, carries this. */
void node_conn_set_mtu(struct conn *c, uint16_t mtu);
/* Of an outer packet, as far as the configuration and the interface say. */
uint32_t node_link_mtu(const struct node *n, const struct conn *c);
/* Largest inner packet of the connection now; 0 without a path. */
uint32_t node_conn_inner_mtu(const struct conn *c);
/* The smallest inner MTU of the given connections goes to the peer (TCP MSS) and is returned. */
uint32_t node_peer_clamp(struct peer *peer, struct conn *const *conns, size_t count);
/* A fresh active set of the connections' outbound SAs; NULL for none.  dscps: the classes that are
 * n-cast (active_new_by_class); 0: all. */
struct active *node_active(struct conn *const *conns, size_t count, uint64_t dscps);

/* How a control message is sent. */
struct node_sending {
	uint32_t hello_epoch;	/* 0: with the next number */
	bool aside;		/* the hello's number, but its epoch does not begin */
	const struct path *via; /* NULL: the connection's path */
};

/* Inner packets made of a registration message. */
void node_send_udp(struct node *n, struct conn *c, const struct endpoint *src,
		   const struct endpoint *dst, const uint8_t *msg, size_t len,
		   const struct node_sending *how);
void node_send_mh(struct node *n, struct conn *c, const struct addr *src, const struct addr *dst,
		  const uint8_t *msg, size_t len, const struct node_sending *how);
void node_send_probe(struct node *n, struct conn *c, enum esp_probe_kind kind, uint64_t id,
		     const struct path *via);
/* The peer's numbers go on from this hello number: the replay window follows, in order with what
 * comes behind it. */
void node_epoch_accept(struct node *n, struct conn *c, uint64_t number);
/* Random, not 0. */
uint32_t node_new_epoch(void);
/* Asks net, and logs what it refuses. */
void node_ask(struct node *n, struct netreq *req);
/* A reply of net that nothing depends on: closes fd, logs a refusal. */
void node_answered(struct node *n, const struct netreq *reply, int fd);

/* --- node_ike.c: IKE datagrams */

/* Of struct ike_path: from here on plain sockets, below it packet sockets. */
#define NODE_IKE_PLAIN 0x10000u

struct node_ike;
/* One message without the marker, which may be changed in place. */
typedef void (*node_ike_fn)(struct node *n, const struct ike_path *path, uint8_t *msg, size_t len,
			    usec_t at_us);
/* Before anything comes: who takes them. */
void node_ike_listen(struct node *n, node_ike_fn fn);
void node_ike_free(struct node *n);
/* Some of what waits; true when there is more. */
bool node_ike_run(struct node *n);
/* A plain IKE socket (fd taken).  0 with its number, or -errno. */
int node_ike_sock_add(struct node *n, int fd, uint32_t *sock) __attribute__((warn_unused_result));
void node_ike_sock_remove(struct node *n, uint32_t sock);
/* As bound. */
bool node_ike_sock_local(const struct node *n, uint32_t sock, struct endpoint *out);
/* As struct ike_ops has it, with the node as ctx. */
void node_ike_send(void *node, const struct ike_path *path, const uint8_t *msg, size_t len);

/* status.c */
json_t *status_connections(const struct node *n);
json_t *status_moves(const struct node *n);
json_t *status_counters(const struct node *n);
json_t *status_node(struct node *n);
json_t *status_addr(const struct addr *a);

#endif
