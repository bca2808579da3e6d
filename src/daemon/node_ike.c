/* SPDX-License-Identifier: MIT */
/*
 * IKE datagrams between sockets and the engine.
 *
 * A path's `sock` says which socket: below NODE_IKE_PLAIN a packet socket of the packet path, whose
 * datagrams come over its boxes and leave behind the marker; from there on plain sockets, which
 * control reads itself.  What comes in of both is bounded in each turn of the loop, those of IKE
 * SAs first, so that a flood leaves time for everything else.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "daemon/role.h"
#include "platform/ikesock.h"

#define PLAIN_MAX    64
#define MESSAGES_MAX 64 /* of the packet path, in one turn */

#define SEND_FAILURES_LOGGED 5 /* a second */

struct plain {
	struct node *n;
	struct ikesock *sock; /* NULL: free */
	uint32_t index;
};

struct node_ike {
	node_ike_fn fn;
	struct plain plain[PLAIN_MAX];
	struct log_limit send_limit;
};

void node_ike_listen(struct node *n, node_ike_fn fn)
{
	if (!n->ike)
		n->ike = mem_zalloc(sizeof *n->ike);
	n->ike->fn = fn;
}

void node_ike_free(struct node *n)
{
	for (unsigned i = 0; n->ike && i < PLAIN_MAX; i++)
		ikesock_free(n->ike->plain[i].sock);
	free(n->ike);
	n->ike = NULL;
}

/* --- in */

bool node_ike_run(struct node *n)
{
	struct fwd_ike *m = NULL;
	if (!n->ike)
		return false;
	for (unsigned i = 0; i < MESSAGES_MAX && (m = fwd_ike_next(n->fwd)); i++) {
		struct ike_path path = {.remote = m->src, .sock = m->sock, .natt = true};
		if (pktio_sock_local(n->pktio, m->sock, &path.local)) {
			if (m->dst.family)
				path.local.addr = m->dst;
			n->ike->fn(n, &path, m->msg, m->len, m->at_us);
		}
		fwd_ike_done(n->fwd);
	}
	return m && fwd_ike_next(n->fwd);
}

static void plain_message(void *ctx, const struct endpoint *local, const struct endpoint *remote,
			  uint8_t *msg, size_t len)
{
	const struct plain *p = ctx;
	struct ike_path path = {
	    .local = *local, .remote = *remote, .sock = NODE_IKE_PLAIN + p->index};
	p->n->ike->fn(p->n, &path, msg, len, clock_now_us());
}

int node_ike_sock_add(struct node *n, int fd, uint32_t *sock)
{
	uint32_t i = 0;
	while (i < PLAIN_MAX && n->ike->plain[i].sock)
		i++;
	if (i == PLAIN_MAX) {
		close(fd);
		return -ENFILE;
	}
	struct plain *p = &n->ike->plain[i];
	*p = (struct plain){.n = n, .index = i};
	p->sock = ikesock_new(n->loop, fd, plain_message, p);
	if (!p->sock)
		return -EINVAL;
	*sock = NODE_IKE_PLAIN + i;
	return 0;
}

static struct plain *plain_of(struct node *n, uint32_t sock)
{
	uint32_t i = sock - NODE_IKE_PLAIN;
	bool there = sock >= NODE_IKE_PLAIN && i < PLAIN_MAX && n->ike->plain[i].sock;
	return there ? &n->ike->plain[i] : NULL;
}

void node_ike_sock_remove(struct node *n, uint32_t sock)
{
	struct plain *p = plain_of(n, sock);
	if (!p)
		return;
	ikesock_free(p->sock);
	p->sock = NULL;
}

bool node_ike_sock_local(const struct node *n, uint32_t sock, struct endpoint *out)
{
	if (sock < NODE_IKE_PLAIN)
		return pktio_sock_local(n->pktio, (uint16_t)sock, out);
	uint32_t i = sock - NODE_IKE_PLAIN;
	if (i >= PLAIN_MAX || !n->ike->plain[i].sock)
		return false;
	*out = *ikesock_local(n->ike->plain[i].sock);
	return true;
}

/* --- out */

void node_ike_send(void *ctx, const struct ike_path *path, const uint8_t *msg, size_t len)
{
	struct node *n = ctx;
	char text[ENDPOINT_TEXT_MAX];
	int r = -ENOTCONN;
	if (path->sock < NODE_IKE_PLAIN) {
		r = pktio_send(n->pktio, (uint16_t)path->sock, &path->local, &path->remote,
			       path->natt, msg, len);
	} else {
		const struct plain *p = plain_of(n, path->sock);
		if (p)
			r = ikesock_send(p->sock, &path->local, &path->remote, msg, len);
	}
	/* It is lost as on any network: the engine sends again. */
	if (r < 0 && log_limit_ok(&n->ike->send_limit, clock_now_us(), SEND_FAILURES_LOGGED))
		log_info(n->log, "node: ike message not sent to=%s: %s",
			 endpoint_format(&path->remote, text), strerror(-r));
}
