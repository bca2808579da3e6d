/* SPDX-License-Identifier: MIT */
/*
 * The terminal's sockets: one for each care-of address and kind, shared by everything that leaves
 * by it (connections, IKE SAs) and closed with the last of them.
 */
#ifndef DAEMON_OUTLET_H
#define DAEMON_OUTLET_H

#include "daemon/role.h"
#include "mobility/mover.h"

enum outlet_kind {
	OUTLET_ESP, /* native ESP */
	OUTLET_UDP, /* ESP and IKE in UDP, from config.port */
	OUTLET_IKE, /* IKE alone, from config.ike->port */
	OUTLET_AH,
};

struct outlet {
	enum outlet_kind kind;
	struct addr addr;
	char interface[IF_NAMESIZE];
	int64_t sock; /* as struct path and struct ike_path have it; -1: none (yet) */
	bool asked;   /* net's answer is to come */
	unsigned users;
};

struct outlets;
/* ready: o has a socket, or could not get one (sock -1). */
struct outlets *outlets_new(struct node *n, void (*ready)(struct node *n, struct outlet *o));
void outlets_free(struct outlets *os);
/* One more user; asks for the socket when it is new.  NULL: too many. */
struct outlet *outlets_get(struct outlets *os, const struct care_of *at, enum outlet_kind kind);
/* The same without another user; NULL: it is not there. */
struct outlet *outlets_find(struct outlets *os, const struct care_of *at, enum outlet_kind kind);
void outlets_put(struct outlets *os, struct outlet *o);

#endif
