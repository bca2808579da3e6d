/* SPDX-License-Identifier: MIT */
/*
 * The system's clocks in microseconds.
 *
 * Only platform and daemon ask; everybody else is given `now`, so that a test may make time
 * as it likes.  Any thread; no state.
 */
#include "base/clock.h"

#include <time.h>

static usec_t clock_read(clockid_t id)
{
	struct timespec ts = {0};

	/* Cannot fail: both clocks exist on every Linux and the pointer is good. */
	(void)clock_gettime(id, &ts);
	return (usec_t)ts.tv_sec * USEC_PER_SEC + (usec_t)ts.tv_nsec / 1000u;
}

usec_t clock_now_us(void)
{
	return clock_read(CLOCK_MONOTONIC);
}

usec_t clock_wall_us(void)
{
	return clock_read(CLOCK_REALTIME);
}
