/* SPDX-License-Identifier: MIT */
/* Inside the home server's role.  home.c: the role, its terminals and what they send.
 * home_listen.c: sockets.  home_ike.c: IKEv2.  home_show.c: what people see. */
#ifndef DAEMON_HOME_STATE_H
#define DAEMON_HOME_STATE_H

#include "daemon/home_moves.h"
#include "daemon/home_routes.h"
#include "daemon/node_joint.h"
#include "daemon/steward.h"

enum listen_kind {
	LISTEN_UDP, /* ESP and IKE in UDP, config.port */
	LISTEN_ESP, /* native ESP */
	LISTEN_IKE, /* IKE alone, config.ike->port */
	LISTEN_AH,
};

#define LISTENERS_MAX 48

struct listener {
	struct addr addr;
	enum listen_kind kind;
	int64_t sock; /* as struct path and struct ike_path have it; -1: not there (yet) */
};

/* Connections whose place is on trial: home_place.c. */
struct home_places {
	struct hash trials;
	struct heap due;
	uint64_t seed;
	uint64_t begun, confirmed, failed;
};

struct home {
	struct registrar *registrar;
	struct listener listeners[LISTENERS_MAX];
	unsigned listener_count;
	struct home_routes *routes;
	const struct role_arrival *arrival; /* being handled: replies go back there */
	struct steward *steward;	    /* NULL: no IKEv2 */
	struct node_joint joint;
	struct log_limit elsewhere;
	struct home_places places;
	struct home_moves *moves; /* NULL: it does not move */
};

static inline struct home *home_of(struct node *n)
{
	return n->state;
}

/* home.c */
/* A connection of t is about to go: nothing may name it any longer.  Until home_leave_end. */
void home_leave_begin(struct node *n, const struct registrar_terminal *t);
void home_leave_end(struct node *n);

/* home_place.c */
void home_place_start(struct home *h);
void home_place_stop(struct home *h);
/* The newest packet of a->conn came from a->back. */
void home_place_learn(struct node *n, const struct role_arrival *a, const struct path *path);
/* Authentic by itself (AH): followed without a question and without a bound. */
void home_place_known(struct conn *c, const struct path *path);
void home_place_answered(struct node *n, const struct role_arrival *a, uint64_t id);
/* A request of the terminal was accepted on c. */
void home_place_asked(struct node *n, struct conn *c);
void home_place_forget(struct node *n, const struct conn *c);
usec_t home_place_tick(struct node *n, usec_t now_us);

/* home_listen.c */
/* What the configuration needs and is not there yet.  0 or -errno. */
int home_listen(struct node *n, const struct config *cfg);
/* The packet socket of our address (or of all of its family); -1: none (yet). */
int home_listen_sock(struct node *n, const struct addr *addr, enum listen_kind kind);

/* home_ike.c */
void home_ike_start(struct node *n);
void home_ike_stop(struct node *n);
json_t *home_ike_command(struct node *n, const char *command, const json_t *request);

/* home_show.c */
void home_status(struct node *n, json_t *out);
json_t *home_bindings(struct node *n);

#endif
