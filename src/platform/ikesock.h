/* SPDX-License-Identifier: MIT */
/* Plain IKE sockets (UDP port 500, RFC 7296 2): read and written by the control thread. */
#ifndef PLATFORM_IKESOCK_H
#define PLATFORM_IKESOCK_H

#include <stdint.h>
#include "base/addr.h"
#include "platform/loop.h"

struct ikesock;

/* One message; msg may be changed in place.  It may call ikesock_free. */
typedef void (*ikesock_fn)(void *ctx, const struct endpoint *local, const struct endpoint *remote,
			   uint8_t *msg, size_t len);

/* fd is a bound UDP socket, non-blocking, and taken (closed when NULL is returned too). */
struct ikesock *ikesock_new(struct loop *l, int fd, ikesock_fn fn, void *ctx);
void ikesock_free(struct ikesock *s);
/* From local's address where the socket is bound to none.  Larger than the path: in IP fragments.
 * 0 or -errno. */
int ikesock_send(const struct ikesock *s, const struct endpoint *local,
		 const struct endpoint *remote, const uint8_t *msg, size_t len)
    __attribute__((warn_unused_result));
const struct endpoint *ikesock_local(const struct ikesock *s); /* as bound */

struct ikesock_counters {
	uint64_t received;  /* messages given to fn */
	uint64_t init_busy; /* IKE_SA_INITs dropped: more than control takes in one turn */
	uint64_t runts;	    /* shorter than an IKE header */
};
const struct ikesock_counters *ikesock_counters(const struct ikesock *s);

#endif
