/* SPDX-License-Identifier: MIT */
/* A network namespace of the test's own: everything in it ends with the process. */
#ifndef TESTS_UNIT_NETNS_H
#define TESTS_UNIT_NETNS_H

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#define NETNS_SKIPPED 77 /* Meson's exit status of a skipped test */

/* Enters it with its own /sys and /proc/sys/net; ends the program when that is not possible. */
static inline void netns_enter(void)
{
	if (geteuid() != 0) {
		printf("skipped: needs root for a network namespace of its own\n");
		exit(NETNS_SKIPPED);
	}
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
		printf("skipped: no network namespace: %s\n", strerror(errno));
		exit(NETNS_SKIPPED);
	}
}

/* A shell command; false when it failed. */
static inline int netns_do(const char *command)
{
	return system(command) == 0;
}

#endif
