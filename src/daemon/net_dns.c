/* SPDX-License-Identifier: MIT */
/*
 * The name servers are asked all at once, for A and AAAA, again after a second and after three.  An
 * answer counts that comes from one of them with the query's number and question.  The first with
 * addresses ends its family; the other family is then waited for a little.
 */
#include "daemon/net_dns.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/mem.h"
#include "crypto/mac.h"
#include "wire/dns.h"

#define DNS_PORT       53
#define DNS_ANSWER_MAX 4096
#define DNS_LINE_MAX   256
#define DNS_GRACE_US   (500 * (usec_t)USEC_PER_MS)
#define DNS_FAMILIES   2

struct question {
	uint8_t query[DNS_QUERY_MAX];
	size_t query_len;
	size_t empty; /* servers that know none */
	bool done;
};

struct asking {
	int fd;
	bool mapped; /* an IPv6 socket: IPv4 addresses as IPv6 ones */
	const struct addr *servers;
	size_t server_count;
	struct question questions[DNS_FAMILIES];
	struct addr *out;
	size_t max, found;
};

int net_dns_socket(uint32_t mark)
{
	int off = 0, fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0) /* no IPv6 here */
		fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	else
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) == 0)
		return fd;
	int error = errno;
	close(fd);
	return -error;
}

size_t net_dns_servers(const char *path, struct addr out[NET_DNS_SERVERS_MAX])
{
	char line[DNS_LINE_MAX], text[ADDR_TEXT_MAX];
	size_t n = 0;
	FILE *f = fopen(path, "re");
	while (f && n < NET_DNS_SERVERS_MAX && fgets(line, sizeof(line), f))
		if (sscanf(line, " nameserver %47s", text) == 1 && addr_parse(text, &out[n]) == 0)
			n++;
	if (f)
		fclose(f);
	return n;
}

static socklen_t to_sockaddr(const struct asking *a, const struct addr *server,
			     struct sockaddr_storage *ss)
{
	struct endpoint e = {.addr = *server, .port = DNS_PORT};
	if (a->mapped && server->family == 4) {
		uint8_t mapped[16] = {[10] = 0xff, [11] = 0xff};
		memcpy(mapped + 12, server->b, 4);
		e.addr = addr_from_bytes(6, mapped);
	}
	return endpoint_to_sockaddr(&e, ss);
}

/* False: there is no way to any of them. */
static bool send_queries(const struct asking *a)
{
	bool sent = false;
	for (size_t i = 0; i < a->server_count; i++) {
		struct sockaddr_storage ss;
		socklen_t len = to_sockaddr(a, &a->servers[i], &ss);
		for (int k = 0; k < DNS_FAMILIES; k++) {
			const struct question *q = &a->questions[k];
			if (!q->done && sendto(a->fd, q->query, q->query_len, MSG_NOSIGNAL,
					       (struct sockaddr *)&ss, len) > 0)
				sent = true;
		}
	}
	return sent;
}

static bool from_a_server(const struct asking *a, const struct sockaddr_storage *ss)
{
	struct endpoint e;
	if (!endpoint_from_sockaddr(ss, &e) || e.port != DNS_PORT)
		return false;
	for (size_t i = 0; i < a->server_count; i++)
		if (addr_equal(&a->servers[i], &e.addr))
			return true;
	return false;
}

static void take_answer(struct asking *a)
{
	uint8_t msg[DNS_ANSWER_MAX];
	struct sockaddr_storage ss;
	socklen_t ss_len = sizeof(ss);
	ssize_t len =
	    recvfrom(a->fd, msg, sizeof(msg), MSG_DONTWAIT, (struct sockaddr *)&ss, &ss_len);
	if (len < 0 || !from_a_server(a, &ss))
		return;
	for (int i = 0; i < DNS_FAMILIES; i++) {
		struct question *q = &a->questions[i];
		size_t n;
		if (q->done || !dns_read_answer(msg, (size_t)len, q->query, q->query_len,
						a->out + a->found, a->max - a->found, &n))
			continue;
		a->found += n;
		q->done = n > 0 || ++q->empty >= a->server_count;
	}
}

/* Until everything is answered or it is end_us, which moves nearer when something was. */
static bool wait_answers(struct asking *a, usec_t end_us)
{
	bool grace = false;
	for (;;) {
		bool done = true;
		for (int i = 0; i < DNS_FAMILIES; i++)
			done &= a->questions[i].done;
		usec_t now = clock_now_us();
		if (a->found && !grace) {
			grace = true;
			end_us = now + DNS_GRACE_US;
		}
		if (done || now >= end_us)
			return done || a->found;
		struct pollfd pfd = {.fd = a->fd, .events = POLLIN};
		if (poll(&pfd, 1, (int)((end_us - now) / USEC_PER_MS) + 1) > 0)
			take_answer(a);
	}
}

size_t net_dns_ask(int fd, const struct addr *servers, size_t server_count, const char *name,
		   struct addr *out, size_t max)
{
	static const enum dns_type types[DNS_FAMILIES] = {DNS_A, DNS_AAAA};
	struct asking a = {
	    .fd = fd, .servers = servers, .server_count = server_count, .out = out, .max = max};
	int domain = AF_INET;
	socklen_t len = sizeof(domain);
	(void)getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len);
	a.mapped = domain == AF_INET6;
	for (int i = 0; i < DNS_FAMILIES; i++) {
		struct question *q = &a.questions[i];
		uint16_t id;
		random_bytes(&id, sizeof(id));
		q->query_len = dns_write_query(q->query, sizeof(q->query), id, name, types[i]);
		if (q->query_len == 0)
			return 0;
	}
	for (unsigned s = 1; server_count > 0 && s <= 4; s *= 2) {
		if (!send_queries(&a) ||
		    wait_answers(&a, clock_now_us() + s * (usec_t)USEC_PER_SEC))
			break;
	}
	return a.found;
}
