/* SPDX-License-Identifier: MIT */
/* The joints' view of the node (joint.h): connections in its table, its SADB and its packet path.
 * Peers of the engine are those of the configuration. */
#ifndef DAEMON_NODE_JOINT_H
#define DAEMON_NODE_JOINT_H

#include "daemon/joint.h"
#include "daemon/role.h"

/* The packet socket of a connection that goes this way: by its encapsulation (c->udp) and the
 * path's ends.  -1: none, or not yet; the connection then has no path until it is told again. */
typedef int (*node_joint_sock_fn)(struct node *n, const struct conn *c,
				  const struct ike_path *path);

struct node_joint {
	struct node *n;
	node_joint_sock_fn sock; /* NULL: the IKE SA's, when that is a packet socket */
};

/* j is borrowed. */
struct joint_ops node_joint_ops(struct node_joint *j);

#endif
