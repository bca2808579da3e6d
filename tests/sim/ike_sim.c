/* SPDX-License-Identifier: MIT */
/*
 * ike_sim [--first S] [--seeds N] [--seed S] [--changes N] [--twice] [--verbose]: two whole nodes
 * with IKEv2, one run for each seed (world.h), with at most so many changes.
 *
 * --twice runs each seed a second time, which must send the very same datagrams.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "world.h"

#define FAILURES_MAX 10
#define CHANGES_MAX  10

struct options {
	uint64_t first, count, changes;
	bool verbose, twice;
};

static bool options_read(struct options *o, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		const char *next = i + 1 < argc ? argv[i + 1] : NULL;
		if (!strcmp(argv[i], "--verbose")) {
			o->verbose = true;
			continue;
		}
		if (!strcmp(argv[i], "--twice")) {
			o->twice = true;
			continue;
		}
		if (!next)
			return false;
		uint64_t value = strtoull(next, NULL, 0);
		if (!strcmp(argv[i], "--first")) {
			o->first = value;
		} else if (!strcmp(argv[i], "--changes") && value) {
			o->changes = value;
		} else if (!strcmp(argv[i], "--seeds")) {
			o->count = value;
		} else if (!strcmp(argv[i], "--seed")) {
			o->first = value;
			o->count = 1;
		} else {
			return false;
		}
		i++;
	}
	return true;
}

int main(int argc, char **argv)
{
	struct options o = {.first = 1, .count = 1000, .changes = CHANGES_MAX};
	struct totals sum = {0}, again = {0};
	uint64_t trace, second;
	unsigned failed = 0;
	if (!options_read(&o, argc, argv)) {
		(void)fprintf(stderr,
			      "usage: ike_sim [--first S] [--seeds N] [--seed S] [--changes N] "
			      "[--twice] [--verbose]\n");
		return 2;
	}
	if (!world_prepare())
		return 1;
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (uint64_t i = 0; i < o.count && failed < FAILURES_MAX; i++) {
		struct script r = {
		    .seed = o.first + i, .changes = (uint32_t)o.changes, .verbose = o.verbose};
		bool good = script_run(&r, &sum, &trace);
		if (good && o.twice) {
			r.verbose = false;
			(void)script_run(&r, &again, &second);
			good = trace == second;
			if (!good)
				printf("seed %llu does not replay\n", (unsigned long long)r.seed);
		}
		failed += !good;
	}
	printf("%llu seeds, %llu datagrams (%llu forged), %llu sides set up, %llu child SAs, %llu "
	       "rekeyed, %llu collisions; ended away %llu, at home %llu, apart %llu; %u failed\n",
	       (unsigned long long)o.count, (unsigned long long)sum.datagrams,
	       (unsigned long long)sum.forged, (unsigned long long)sum.setups,
	       (unsigned long long)sum.children, (unsigned long long)sum.rekeys,
	       (unsigned long long)sum.collisions, (unsigned long long)sum.ended_away,
	       (unsigned long long)sum.ended_home, (unsigned long long)sum.ended_apart, failed);
	world_cleanup();
	return failed ? 1 : 0;
}
