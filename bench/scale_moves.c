/* SPDX-License-Identifier: MIT */
/*
 * What control does while packets flow: bindings change, terminals register (each time the
 * binding goes to the other connection of a terminal with two), terminals go and come.
 */
#include <string.h>
#include "base/mem.h"
#include "crypto/mac.h"
#include "mobility/binding.h"
#include "scale.h"
#include "wire/mip4.h"

#define TURN 64 /* changes between two turns of the loop */

static uint32_t any(const struct fleet *f, uint64_t *random)
{
	return (uint32_t)((rnd(random) >> 32) * f->count >> 32);
}

static double per_second(uint64_t count, uint64_t began)
{
	return (double)count * 1e9 / (double)(now_ns() - began);
}

/* As the registrar does once a request is found good. */
double moves_bindings(struct fleet *f, uint64_t changes, uint64_t *random)
{
	uint64_t began = now_ns();
	for (uint64_t i = 0; i < changes; i++) {
		uint32_t id = any(f, random);
		struct binding *b = f->terminals[id]->bindings[0];
		uint8_t k = f->active[id] ^= 1;
		if (!binding_assign(f->registrar, b, &f->conns[id][k], 1, BINDING_BY_REQUEST,
				    SCALE_LIFETIME_S, clock_now_us(), clock_wall_us()))
			die("a binding did not change");
		home_routes_publish(f->routes, b);
		if (i % TURN == 0)
			rcu_quiescent_state();
	}
	rcu_barrier(); /* what they left behind is part of them */
	return per_second(changes, began);
}

struct request {
	uint32_t id;
	uint8_t k;
	size_t len;
	uint8_t msg[96];
};

static void request_make(struct fleet *f, struct request *q, uint32_t id, uint64_t wall_us)
{
	const struct registrar_terminal *t = f->terminals[id];
	size_t auth_off;
	q->id = id;
	q->k = f->active[id] ^= 1;
	struct mip4_request m = {.lifetime_s = SCALE_LIFETIME_S,
				 .identification = mip4_identification(wall_us),
				 .ext = {.has_auth = true, .auth_spi = t->mn_ha_spi}};
	struct addr care_of = addr4(fleet_care_of(id, q->k)), agent = addr4(SCALE_AGENT);
	memcpy(m.home, t->homes[0].b, 4);
	memcpy(m.home_agent, agent.b, 4);
	memcpy(m.care_of, care_of.b, 4);
	q->len = mip4_write_request(q->msg, sizeof q->msg, &m, &auth_off);
	if (!q->len ||
	    mac_compute(t->mn_ha_key, t->mn_ha_key_len, q->msg, auth_off, q->msg + auth_off) != 0)
		die("no registration request");
}

/* The whole of a request: its authenticator, the binding, the reply. */
double moves_registrations(struct fleet *f, uint32_t requests, uint64_t *random)
{
	struct request *list = mem_zalloc(requests * sizeof *list);
	uint64_t wall_us = clock_wall_us() + 2 * USEC_PER_SEC;
	for (uint32_t i = 0; i < requests; i++)
		request_make(f, &list[i], any(f, random), wall_us + i);
	uint64_t accepted = registrar_counters(f->registrar)->accepted, began = now_ns();
	for (uint32_t i = 0; i < requests; i++) {
		const struct request *q = &list[i];
		struct registrar_arrival a = {.conn = f->conns[q->id][q->k],
					      .src = addr4(fleet_home(q->id)),
					      .dst = addr4(SCALE_AGENT),
					      .now_us = clock_now_us(),
					      .wall_us = wall_us + i};
		registrar_request4(f->registrar, &a, MIP4_PORT, q->msg, q->len);
		if (i % TURN == 0)
			rcu_quiescent_state();
	}
	rcu_barrier();
	double rate = per_second(requests, began);
	free(list);
	if (registrar_counters(f->registrar)->accepted - accepted != requests)
		die("a registration was denied");
	return rate;
}

double moves_reload(struct fleet *f, uint32_t terminals, uint64_t *random)
{
	uint64_t began = now_ns();
	for (uint32_t i = 0; i < terminals; i++) {
		uint32_t id = any(f, random);
		fleet_remove(f, id);
		fleet_add(f, id);
		fleet_add_conn(f, id, 1);
		rcu_quiescent_state();
	}
	rcu_barrier();
	return per_second(terminals, began);
}
