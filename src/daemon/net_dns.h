/* SPDX-License-Identifier: MIT */
/*
 * Asking the system's name servers by a socket of our own.  The system's resolver cannot be told to
 * keep off the tunnel; while the tunnel is what the name is needed for, only this one is heard.
 */
#ifndef DAEMON_NET_DNS_H
#define DAEMON_NET_DNS_H

#include <stddef.h>
#include <stdint.h>
#include "base/addr.h"

#define NET_DNS_SERVERS_MAX 3 /* as resolv.conf(5) has it */

/* A socket for it that carries the mark, or -errno. */
int net_dns_socket(uint32_t mark) __attribute__((warn_unused_result));
/* The name servers of a file like resolv.conf(5); how many. */
size_t net_dns_servers(const char *path, struct addr out[NET_DNS_SERVERS_MAX]);
/* Asks them all for both families; takes up to seven seconds.  How many addresses were found. */
size_t net_dns_ask(int fd, const struct addr *servers, size_t server_count, const char *name,
		   struct addr *out, size_t max);

#endif
