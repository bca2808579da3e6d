/* SPDX-License-Identifier: MIT */
/* Giving up privileges: user, capabilities, root directory, Landlock, seccomp. */
#ifndef PLATFORM_PRIV_H
#define PLATFORM_PRIV_H

#include "base/err.h"

struct priv_node {
	const char *user; /* of the process from now */
	const char *root; /* chroot here; an empty directory */
};
/* The node process: no capabilities, own user, nothing of the file system, no_new_privs, a
 * seccomp filter that kills on anything but what the loops need.  Call after all set-up that
 * needs more, before the first byte from the network.  0, or -1 with err. */
int priv_enter_node(const struct priv_node *p, struct err *err) __attribute__((warn_unused_result));
/* A process that looks up names: own user, no capabilities, no_new_privs; the file system stays,
 * since the system's resolver reads its configuration there.  0, or -1 with err. */
int priv_enter_lookup(const char *user, struct err *err) __attribute__((warn_unused_result));
/* The net process: only CAP_NET_ADMIN, CAP_NET_RAW, CAP_NET_BIND_SERVICE (and what reading the
 * configuration and removing the control socket needs). */
int priv_enter_net(struct err *err) __attribute__((warn_unused_result));

#endif
