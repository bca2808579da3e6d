/* SPDX-License-Identifier: MIT */
/* A lock for a few instructions, between threads that seldom want it at once. */
#ifndef BASE_SPIN_H
#define BASE_SPIN_H

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

struct spin { /* zero: free */
	_Atomic bool held;
};

#define SPIN_PATIENCE 200 /* looks, then the processor is left to whoever holds it */

static inline void spin_lock(struct spin *s)
{
	unsigned looks = 0;
	while (atomic_exchange_explicit(&s->held, true, memory_order_acquire)) {
		while (atomic_load_explicit(&s->held, memory_order_relaxed)) {
			if (++looks % SPIN_PATIENCE == 0)
				sched_yield();
		}
	}
}

static inline void spin_unlock(struct spin *s)
{
	atomic_store_explicit(&s->held, false, memory_order_release);
}

#endif
