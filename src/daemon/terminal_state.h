/* SPDX-License-Identifier: MIT */
/*
 * Inside the terminal's role.  terminal.c: what the mover asks for, routes, events, begin and end.
 * terminal_conn.c: connections and the care-of addresses they are attached to.  terminal_ike.c:
 * the keeper.  terminal_show.c: what people see.
 */
#ifndef DAEMON_TERMINAL_STATE_H
#define DAEMON_TERMINAL_STATE_H

#include "daemon/keeper.h"
#include "daemon/node_joint.h"
#include "daemon/outlet.h"
#include "mobility/mover.h"
#include "platform/watch.h"

#define TERMINAL_CONNECTIONS_MAX 64
#define TERMINAL_HOMES_MAX	 4

/* A connection and the socket it leaves by. */
struct attachment {
	struct conn *conn;
	const struct config_connection *cfg; /* NULL: made by IKE */
	struct outlet *outlet;		     /* NULL: detached */
	bool ready;			     /* mover was told */
	usec_t keepalive_us;		     /* last one sent */
};

/* A server of the configuration and what its name stands for. */
struct lookup {
	uint8_t count;
	struct addr addrs[NETREQ_ADDRS_MAX];
	bool asked; /* net's answer is to come */
	usec_t next_us;
};

struct terminal {
	struct mover *mover; /* NULL: no home address is known yet */
	struct watch *watch;
	struct peer *peer; /* of configured keys; NULL: none */
	struct outlets *outlets;
	struct attachment attachments[TERMINAL_CONNECTIONS_MAX];
	uint8_t home_count;
	struct addr homes[TERMINAL_HOMES_MAX]; /* by the configuration, or assigned */
	struct conn *active[ACTIVE_MAX];
	uint8_t active_count;
	struct care_of home_at; /* interface "": away */
	uint8_t route_count;
	struct prefix routes[CONFIG_LIST_MAX]; /* as net was asked for them */
	unsigned routes_asked;		       /* of net, not answered yet */
	bool nothing_active;		       /* to be published a little after they are */
	usec_t nothing_us;		       /* then */
	/* with IKE */
	struct keeper *keeper; /* NULL: configured keys only */
	struct node_joint joint;
	struct lookup lookups[CONFIG_SERVERS_MAX];
	struct care_of care_ofs[MOVER_CARE_OFS_MAX]; /* told last */
	size_t care_of_count;
	bool dns_set;
};

static inline struct terminal *terminal_of(const struct node *n)
{
	return n->state;
}

/* --- terminal.c */
/* A mover for these home addresses in place of the one that is there. */
void terminal_mover_begin(struct node *n, const struct mover_agent *agent);
void terminal_homes_set(struct node *n, const struct addr *homes, uint8_t count);
/* The routes of cfg are for the tunnel, or not, as things are now. */
void terminal_routes(struct node *n, const struct config *cfg);
/* Packets go out on these from now. */
void terminal_activate(void *node, struct conn *const *conns, uint8_t count);
/* At once: a connection is about to go. */
void terminal_activate_nothing(struct node *n);
/* This one is about to go; those beside it stay. */
void terminal_deactivate(struct node *n, const struct conn *c);
bool terminal_is_active(const struct terminal *t, const struct conn *c);

/* --- terminal_conn.c */
struct attachment *terminal_attachment(struct terminal *t, const struct conn *c); /* NULL: none */
void terminal_attach(void *node, struct conn *conn, const struct care_of *at);
void terminal_detach(void *node, struct conn *conn);
void terminal_outlet_ready(struct node *n, struct outlet *o);
void terminal_keepalives(struct node *n, usec_t now_us);
/* The newest authentic packet of c came from there. */
void terminal_server_moved(struct node *n, const struct conn *c, const struct endpoint *to);
/* By the configuration. */
int terminal_connection_add(struct node *n, const struct config_connection *c, int preference,
			    struct err *err) __attribute__((warn_unused_result));
void terminal_connection_remove(struct node *n, struct attachment *a);
/* Made by IKE: nothing names it any longer. */
void terminal_connection_leaves(struct node *n, struct conn *c);

/* --- terminal_ike.c */
void terminal_ike_start(struct node *n); /* with a section ike */
void terminal_ike_stop(struct node *n);
void terminal_ike_ways(struct node *n); /* a socket is there */
usec_t terminal_ike_tick(struct node *n, usec_t now_us);
void terminal_ike_reload(struct node *n, struct config *fresh, usec_t now_us);
json_t *terminal_ike_command(struct node *n, const char *command);

/* --- terminal_show.c */
void terminal_status(struct node *n, json_t *out);
json_t *terminal_bindings(struct node *n);
json_t *terminal_command(struct node *n, const char *command, const json_t *request);

#endif
