/* SPDX-License-Identifier: MIT */
/*
 * What a home server publishes of its bindings: where packets to a home address or a prefix go in
 * the packet path, that the kernel gives them to us, and that the home link sends them here.
 */
#ifndef DAEMON_HOME_ROUTES_H
#define DAEMON_HOME_ROUTES_H

#include "daemon/role.h"
#include "mobility/registrar.h"

struct home_routes;

struct home_routes *home_routes_new(struct node *n);
/* When the loop has ended: replies of net that are still to come find nothing. */
void home_routes_free(struct home_routes *r);
/* Pools of the configuration at start and, with the one before, at a reload. */
void home_routes_pools(struct home_routes *r, const struct config *fresh,
		       const struct config *before);
/* A binding changed, or an SA of its connections did. */
void home_routes_publish(struct home_routes *r, const struct binding *b);
/* From now until off, a connection is about to go: nothing may name it, not even for a while. */
void home_routes_at_once(struct home_routes *r, bool on);
/* Nothing of this terminal's that is on its way out names a connection any more. */
void home_routes_settle(struct home_routes *r, const struct registrar_terminal *t);
/* Returns the next deadline. */
usec_t home_routes_tick(struct home_routes *r, usec_t now_us);

#endif
