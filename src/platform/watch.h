/* SPDX-License-Identifier: MIT */
/*
 * Follows links, addresses, routes and neighbours by rtnetlink and tells the care-of addresses
 * that are usable now: interface up with carrier, address not tentative or deprecated, a default
 * route or an on-link route to the server.  No privileges needed.
 */
#ifndef PLATFORM_WATCH_H
#define PLATFORM_WATCH_H

#include "base/err.h"
#include "base/log.h"
#include "mobility/mover.h"
#include "platform/loop.h"

struct watch;

/* The list is whole each time, valid during the call only; cause is a line for people.  at_us:
 * when the first of the changes told together was received. */
typedef void (*watch_fn)(void *ctx, const struct care_of *list, size_t n, const char *cause,
			 usec_t at_us);
/* A gateway's link address is not known: ask the kernel to resolve it (privileged). */
typedef void (*watch_resolve_fn)(void *ctx, unsigned ifindex, const struct addr *gateway);

struct watch_config {
	const char *ignore_interface; /* our TUN */
	uint32_t ignore_table;	      /* our own routing table */
	struct addr ignore[8];	      /* our home addresses: never care-of addresses... */
	uint8_t ignore_count;
	struct addr servers[16]; /* on-link to one of these also makes an address usable */
	uint8_t server_count;
	watch_fn changed;
	watch_resolve_fn resolve;
	void *ctx;
};
/* Dumps the present state, tells it once from the loop ("start"), then follows. */
struct watch *watch_new(struct loop *l, const struct watch_config *cfg, const struct log *log,
			struct err *err);
void watch_free(struct watch *w);
/* Other home addresses, other servers, from now: what that changes is told from the loop. */
void watch_ignore(struct watch *w, const struct addr *homes, uint8_t count);
void watch_servers(struct watch *w, const struct addr *servers, uint8_t count);

#endif
