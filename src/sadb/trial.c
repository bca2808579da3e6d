/* SPDX-License-Identifier: MIT */
#include "sadb/trial.h"

#include "base/lines.h"

struct path *trial_new(uint64_t credit, const struct path *fallback)
{
	struct trial *t = lines_alloc(sizeof(*t));
	t->path.trial = true;
	atomic_store(&t->credit, credit);
	t->has_fallback = fallback != NULL;
	if (fallback) {
		t->fallback.local = fallback->local;
		t->fallback.remote = fallback->remote;
		t->fallback.sock = fallback->sock;
		t->fallback.mtu = fallback->mtu;
	}
	return &t->path;
}

struct path *trial_copy(struct path *path)
{
	struct trial *t = trial_of(path);
	struct path *copy =
	    trial_new(atomic_exchange(&t->credit, 0), t->has_fallback ? &t->fallback : NULL);
	copy->local = path->local;
	copy->remote = path->remote;
	copy->sock = path->sock;
	copy->mtu = path->mtu;
	return copy;
}

bool trial_spend(const struct path *path, uint64_t bytes)
{
	struct trial *t = trial_of(path);
	uint64_t left = atomic_load_explicit(&t->credit, memory_order_relaxed);
	do {
		if (left < bytes)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(
	    &t->credit, &left, left - bytes, memory_order_relaxed, memory_order_relaxed));
	return true;
}
