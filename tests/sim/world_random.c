/* SPDX-License-Identifier: MIT */
/*
 * Every random number of a run comes from its seed.  The linker puts these in the place of the two
 * functions by which the code draws from the system (-Wl,--wrap).
 */
#include <string.h>
#include "base/mem.h"
#include "crypto/kex.h"
#include "crypto/mac.h"
#include "world.h"

#define X25519_LEN 32

static struct world *of;

struct kex *__real_kex_new(const struct kex_group *g);
struct kex *__wrap_kex_new(const struct kex_group *g);
void __real_random_bytes(void *out, size_t len);
void __wrap_random_bytes(void *out, size_t len);

void world_random_of(struct world *w)
{
	of = w;
}

void __wrap_random_bytes(void *out, size_t len)
{
	uint8_t *p = out;
	if (!of) {
		__real_random_bytes(out, len);
		return;
	}
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(world_random(of) >> 32);
}

struct kex *__wrap_kex_new(const struct kex_group *g)
{
	uint8_t secret[X25519_LEN];
	if (!of || strcmp(g->name, "x25519") != 0)
		return __real_kex_new(g);
	__wrap_random_bytes(secret, sizeof(secret));
	struct kex *k = kex_new_given(g, secret, sizeof(secret), NULL);
	mem_wipe(secret, sizeof(secret));
	return k;
}
