/* SPDX-License-Identifier: MIT */
/* What the benchmarks in C have in common. */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stdint.h>
#include <stdnoreturn.h>

/* With the program's name before it. */
noreturn void die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
uint64_t now_ns(void);
/* Where there are fewer cores everything shares what there is. */
void pin_to(unsigned cpu);
/* Of a generator that is fast and the same in each run. */
uint64_t rnd(uint64_t *state);
/* Sorts. */
double median(double *list, unsigned n);
/* An option's argument, from 1 to 100,000,000. */
uint64_t number(const char *text);

#endif
