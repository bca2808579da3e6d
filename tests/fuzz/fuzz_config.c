/* SPDX-License-Identifier: MIT */
/* A configuration: read or refused with a place, and refused the same way twice. */
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include "daemon/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct config *read_once(const uint8_t *data, size_t len, struct err *err)
{
	FILE *in = fmemopen((void *)(uintptr_t)data, len, "r");
	assert(in);
	struct config *c = config_read(in, "f", err);
	fclose(in);
	return c;
}

static void check_connections(const struct config_terminal *a, const struct config_terminal *b)
{
	const struct config_connection *x = a->connections, *y = b->connections;

	assert(x || a->peer); /* something to speak with */
	for (; x && y; x = x->next, y = y->next) {
		assert(config_connection_equal(x, y));
		assert(x->encr && x->integ && x->spi_in > 255 && x->spi_out > 255);
		assert(x->key_len == (size_t)x->encr->key_len + x->integ->key_len);
	}
	assert(!x && !y);
}

static void check_peer(const struct config_peer *p)
{
	assert(p->peer.name && p->peer.local_id && p->peer.remote_id);
	assert(p->peer.ike.count && p->peer.child.esp.count);
	assert(p->peer.local_auth != IKE_BY_PSK || p->peer.psk);
	assert(p->peer.local_auth != IKE_BY_CERT || p->peer.own);
	assert(p->peer.remote_auth != IKE_BY_CERT || p->peer.trust);
}

/* The engine's object goes over to the fresh configuration, and the old one can be freed. */
static void check_keep(struct config *a, struct config *b)
{
	struct config_terminal *t = a->terminals, *u = b->terminals;

	for (; t && u; t = t->next, u = u->next) {
		struct config_peer *was = t->peer;
		assert(config_peer_equal(t->peer, u->peer));
		assert(config_peer_keep(&t->peer, &u->peer, 0) == (was != NULL));
		assert(u->peer == was);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct err one = {""}, two = {""};

	if (!len)
		return 0;
	struct config *a = read_once(data, len, &one), *b = read_once(data, len, &two);
	assert(!a == !b && !strcmp(one.text, two.text));
	if (!a) {
		assert(!strncmp(one.text, "f:", 2));
		return 0;
	}
	assert(!config_fixed_difference(a, b));
	const struct config_terminal *t = a->terminals, *u = b->terminals;
	for (; t && u; t = t->next, u = u->next) {
		assert(config_terminal_equal(t, u));
		check_connections(t, u);
		if (t->peer)
			check_peer(t->peer);
	}
	assert(!t && !u);
	check_keep(a, b);
	config_free(a);
	config_free(b);
	return 0;
}
