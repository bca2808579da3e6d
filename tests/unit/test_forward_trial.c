/* SPDX-License-Identifier: MIT */
/* Paths on trial: how much is sent where it may not arrive, and where the rest goes. */
#include "fwd_rig.h"
#include "sadb/trial.h"

static uint8_t p[FWD_BUFFER_LEN];

#define OUTER 28 /* IPv4 and UDP headers */

/* The server's path of SA 0 becomes one on trial, to `to`. */
static void try_path(struct rig *r, uint64_t credit, const struct path *fallback)
{
	struct rig_node *n = &r->node[RIG_SERVER];
	struct path *path = trial_new(credit, fallback);
	path->local = rig_outer(r, RIG_SERVER, 0);
	path->remote = (struct endpoint){.addr = rig_addr("198.51.100.99"), .port = 999};
	path->mtu = 1500;
	sa_set_pair_path(n->out[0], n->in[0], path);
}

/* Sends n packets down; how many octets went to the address on trial? */
static uint64_t down(struct rig *r, unsigned n)
{
	struct rig_node *s = &r->node[RIG_SERVER];
	struct addr there = rig_addr("198.51.100.99");
	uint64_t octets = 0;
	rig_clear(r);
	for (unsigned i = 0; i < n; i++)
		rig_frame(s, p, rig_make_udp(p, "10.1.0.1", 1, "10.9.0.5", 2));
	rig_run_tun(r, RIG_SERVER);
	for (unsigned i = 0; i < s->sent.count; i++) {
		const struct rig_packet *q = &s->sent.at[i];
		unsigned packets = q->gso_size ? (q->len + q->gso_size - 1) / q->gso_size : 1;
		if (addr_equal(&q->dst.addr, &there))
			octets += q->len + (uint64_t)packets * OUTER;
	}
	return octets;
}

static unsigned packets_sent(const struct rig *r)
{
	unsigned packets = 0;
	const struct rig_list *l = &r->node[RIG_SERVER].sent;
	for (unsigned i = 0; i < l->count; i++)
		packets += l->at[i].gso_size
			       ? (l->at[i].len + l->at[i].gso_size - 1) / l->at[i].gso_size
			       : 1;
	return packets;
}

static void beyond_the_bound_it_is_dropped_and_counted(void **state)
{
	(void)state;
	struct rig_config c = {0};
	struct rig *r = rig_new(&c);
	try_path(r, UINT32_MAX, NULL);
	uint64_t one = down(r, 1);
	try_path(r, 3 * one - 1, NULL);
	assert_int_equal(down(r, 5), 2 * one);
	assert_int_equal(packets_sent(r), 2);
	assert_int_equal(rig_drops(r, RIG_SERVER, DROP_UNCONFIRMED), 3);
	assert_int_equal(rig_drops(r, RIG_SERVER, DROP_SEND_FAILED), 0);
	rig_free(r);
}

static void beyond_the_bound_it_goes_where_it_was_proven(void **state)
{
	(void)state;
	struct rig_config c = {0};
	struct rig *r = rig_new(&c);
	struct path *proven = rig_path(r, RIG_SERVER, 0);
	try_path(r, UINT32_MAX, proven);
	uint64_t one = down(r, 1);
	try_path(r, 2 * one, proven);
	path_free(proven);
	assert_int_equal(down(r, 5), 2 * one);
	assert_int_equal(packets_sent(r), 5);
	assert_int_equal(rig_all_drops(r, RIG_SERVER), 0);
	rig_deliver(r, RIG_SERVER);
	assert_int_equal(r->node[RIG_TERMINAL].written.count, 5); /* under the numbers they had */
	rig_free(r);
}

/* Three times what comes from there, in order; nothing for what comes from elsewhere or again. */
static void what_comes_from_there_counts_three_times(void **state)
{
	(void)state;
	struct rig_config c = {0};
	struct rig *r = rig_new(&c);
	struct sa *in = r->node[RIG_SERVER].in[0];
	try_path(r, 0, NULL);
	struct rig_packet raw;
	size_t len = rig_make_udp(p, "10.9.0.5", 1, "10.1.0.1", 2);
	rig_seal_raw(r, 0, 0, IP_PROTO_IPIP, p, len, 5, false, &raw);
	uint64_t came = raw.len + OUTER;
	for (int again = 0; again < 2; again++) {
		raw.src = (struct endpoint){.addr = rig_addr("198.51.100.99"), .port = 999};
		rig_put(r, 1, &raw);
		rig_receive(r, 1);
		assert_int_equal(atomic_load(&trial_of(in->path)->credit), 3 * came);
	}
	rig_seal_raw(r, 0, 0, IP_PROTO_IPIP, p, len, 6, false, &raw);
	raw.src = (struct endpoint){.addr = rig_addr("198.51.100.98"), .port = 999};
	rig_put(r, 1, &raw);
	rig_receive(r, 1);
	assert_int_equal(atomic_load(&trial_of(in->path)->credit), 3 * came);
	assert_true(down(r, 50) <= 3 * came);
	rig_free(r);
}

static void a_copy_takes_the_credit_along(void **state)
{
	(void)state;
	struct path *path = trial_new(1000, NULL);
	struct path *copy = trial_copy(path);
	assert_false(trial_spend(path, 1));
	assert_true(trial_spend(copy, 600));
	assert_false(trial_spend(copy, 401));
	assert_true(trial_spend(copy, 400));
	path_free(path);
	path_free(copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(beyond_the_bound_it_is_dropped_and_counted),
	    cmocka_unit_test(beyond_the_bound_it_goes_where_it_was_proven),
	    cmocka_unit_test(what_comes_from_there_counts_three_times),
	    cmocka_unit_test(a_copy_takes_the_credit_along),
	};
	return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}
