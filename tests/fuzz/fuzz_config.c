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

	assert(x); /* one at least */
	for (; x && y; x = x->next, y = y->next) {
		assert(config_connection_equal(x, y));
		assert(x->encr && x->integ && x->spi_in > 255 && x->spi_out > 255);
		assert(x->key_len == (size_t)x->encr->key_len + x->integ->key_len);
	}
	assert(!x && !y);
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
	}
	assert(!t && !u);
	config_free(a);
	config_free(b);
	return 0;
}
