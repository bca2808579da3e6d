/* SPDX-License-Identifier: MIT */
#include "daemon/home_terminal.h"

#include <stdio.h>
#include <string.h>
#include "daemon/joint.h"
#include "wire/mip4.h"

struct registrar_terminal *home_terminal_new(const struct config_terminal *t, const char *name,
					     const struct addr *homes, uint8_t home_count,
					     uint64_t wall_us)
{
	bool keyed = t->registration_key_len > 0;
	struct registrar_terminal *rt = registrar_terminal_new(
	    home_count, t->prefix_count, keyed ? t->registration_key_len : JOINT_KEY_LEN);
	snprintf(rt->name, sizeof rt->name, "%s", name);
	rt->home_count = home_count;
	for (uint8_t i = 0; i < home_count; i++)
		rt->homes[i] = homes[i];
	rt->prefix_count = t->prefix_count;
	for (uint8_t i = 0; i < t->prefix_count; i++)
		rt->prefixes[i] = t->prefixes[i];
	registrar_set_key(rt, keyed ? t->registration_spi : JOINT_KEY_SPI, t->registration_key,
			  t->registration_key_len);
	rt->lifetime_max_s = t->lifetime_s;
	rt->connections_max = t->connections_max;
	registrar_set_policy(rt, t->may, t->drain_s);
	rt->ncast_class = t->ncast_class;
	/* What was asked before may have been taken by whoever heard it. */
	rt->last_identification = mip4_identification(wall_us);
	rt->last_hello6 = (uint32_t)(wall_us / USEC_PER_SEC);
	return rt;
}
