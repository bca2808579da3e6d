/* SPDX-License-Identifier: MIT */
#include "daemon/outlet.h"

#include <string.h>
#include <unistd.h>
#include "base/mem.h"

#define OUTLETS_MAX 96

struct outlets {
	struct node *node;
	void (*ready)(struct node *n, struct outlet *o);
	struct outlet all[OUTLETS_MAX];
};

/* Answers may come when the role has stopped: they are for whoever is there then. */
static struct outlets *outlets_of(struct node *n)
{
	return n->outlets;
}

static bool outlet_is(const struct outlet *o, const struct addr *addr, const char *interface,
		      enum outlet_kind kind)
{
	return o->users && o->kind == kind && addr_equal(&o->addr, addr) &&
	       !strcmp(o->interface, interface);
}

static enum outlet_kind kind_of(const struct node *n, const struct netreq *req)
{
	if (!req->udp)
		return req->ah ? OUTLET_AH : OUTLET_ESP;
	return n->cfg->ike && req->local.port == n->cfg->ike->port ? OUTLET_IKE : OUTLET_UDP;
}

static uint16_t port_of(const struct node *n, enum outlet_kind kind)
{
	switch (kind) {
	case OUTLET_ESP:
	case OUTLET_AH:
		return 0;
	case OUTLET_UDP:
		return n->cfg->port;
	case OUTLET_IKE:
		return n->cfg->ike->port;
	}
	return 0;
}

static int64_t sock_add(struct node *n, const struct outlet *o, int fd)
{
	uint32_t sock;
	if (o->kind != OUTLET_IKE)
		return pktio_sock_add(n->pktio, fd, o->kind == OUTLET_UDP, o->addr.family == 6);
	int r = node_ike_sock_add(n, fd, &sock);
	return r < 0 ? r : (int64_t)sock;
}

static void outlet_ready(void *ctx, const struct netreq *reply, int fd)
{
	struct node *n = ctx;
	struct outlets *os = outlets_of(n);
	struct outlet *o = NULL;
	char text[ADDR_TEXT_MAX];

	for (unsigned i = 0; os && i < OUTLETS_MAX; i++)
		if (os->all[i].asked &&
		    outlet_is(&os->all[i], &reply->local.addr, reply->interface, kind_of(n, reply)))
			o = &os->all[i];
	if (!o) { /* nobody wants it any more */
		if (fd >= 0)
			close(fd);
		return;
	}
	o->asked = false;
	o->sock = fd >= 0 ? sock_add(n, o, fd) : -1;
	if (o->sock < 0) {
		log_warn(n->log, "terminal: no socket interface=%s care_of=%s: %s", o->interface,
			 addr_format(&o->addr, text), fd < 0 ? reply->text : "too many");
		o->sock = -1;
	}
	os->ready(n, o);
}

static void outlet_ask(struct node *n, struct outlet *o, unsigned ifindex)
{
	struct netreq req = {.kind = NETREQ_SOCK,
			     .on = true,
			     .udp = o->kind != OUTLET_ESP && o->kind != OUTLET_AH,
			     .ah = o->kind == OUTLET_AH,
			     .ifindex = ifindex,
			     .local = {.addr = o->addr, .port = port_of(n, o->kind)}};
	memcpy(req.interface, o->interface, sizeof req.interface);
	o->asked = true;
	if (netreq_send(n->net, &req, outlet_ready, n) < 0)
		loop_stop(n->loop);
}

struct outlet *outlets_find(struct outlets *os, const struct care_of *at, enum outlet_kind kind)
{
	for (unsigned i = 0; i < OUTLETS_MAX; i++)
		if (outlet_is(&os->all[i], &at->addr, at->interface, kind))
			return &os->all[i];
	return NULL;
}

struct outlet *outlets_get(struct outlets *os, const struct care_of *at, enum outlet_kind kind)
{
	struct outlet *o = outlets_find(os, at, kind);
	for (unsigned i = 0; i < OUTLETS_MAX && !o; i++)
		if (!os->all[i].users)
			o = &os->all[i];
	if (!o)
		return NULL;
	if (!o->users) {
		*o = (struct outlet){.kind = kind, .addr = at->addr, .sock = -1};
		memcpy(o->interface, at->interface, sizeof o->interface);
	}
	o->users++;
	if (o->sock < 0 && !o->asked)
		outlet_ask(os->node, o, at->ifindex);
	return o;
}

void outlets_put(struct outlets *os, struct outlet *o)
{
	if (--o->users)
		return;
	if (o->sock >= NODE_IKE_PLAIN)
		node_ike_sock_remove(os->node, (uint32_t)o->sock);
	else if (o->sock >= 0)
		pktio_sock_remove(os->node->pktio, (uint16_t)o->sock);
	o->sock = -1;
	o->asked = false;
}

struct outlets *outlets_new(struct node *n, void (*ready)(struct node *n, struct outlet *o))
{
	struct outlets *os = mem_zalloc(sizeof *os);
	os->node = n;
	os->ready = ready;
	return os;
}

void outlets_free(struct outlets *os)
{
	free(os);
}
