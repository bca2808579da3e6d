/* SPDX-License-Identifier: MIT */
/* The node's IKEv2 engine.  What follows from IKE SAs and child SAs is the role's, through the
 * callbacks that it gives at the start. */
#ifndef DAEMON_NODE_ENGINE_H
#define DAEMON_NODE_ENGINE_H

#include <jansson.h>
#include "daemon/role.h"
#include "ike/ike.h"

/* role: its callbacks, with the node as their ctx; send, random, wall_us, new_spi and keys are
 * filled in here. */
void node_engine_start(struct node *n, const struct ike_config *cfg, const struct ike_ops *role);
void node_engine_stop(struct node *n);
struct ike *node_engine_ike(const struct node *n); /* NULL: not configured */
usec_t node_engine_tick(struct node *n, usec_t now_us);

/* Commands ike, keys, rekey (doc/control.md); NULL: not one of these. */
json_t *node_engine_command(struct node *n, const char *command, const json_t *request);

#endif
