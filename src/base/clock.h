/* SPDX-License-Identifier: MIT */
/* Time: microseconds.  Sans-I/O code is given `now`; only platform and daemon call these. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

typedef uint64_t usec_t;

#define USEC_PER_MS  1000u
#define USEC_PER_SEC 1000000u
#define USEC_NEVER   UINT64_MAX

usec_t clock_now_us(void);  /* monotonic (CLOCK_MONOTONIC) */
usec_t clock_wall_us(void); /* since 1970 (CLOCK_REALTIME) */

#endif
