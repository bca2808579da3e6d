/* SPDX-License-Identifier: MIT */
/* What two Sojourns tell each other: the notifies' fields, cut at every length, and how they travel
 * with child SAs. */
#include "ike_rig.h"

#define ROOM 512

/* The payloads that `put` wrote, read again. */
static void chain(struct ike_builder *b, const uint8_t *buf, struct ike_payloads *p)
{
	size_t len = ike_builder_finish(b);
	assert_true(len > 0);
	assert_int_equal(ike_read_payloads(b->first, buf, len, p), IKE_OK);
}

static const struct ike_sj_connection full = {
    .name = "wlan0@home", .spare = true, .reg = true, .lifetime_s = 600, .home_count = 2};

static struct ike_sj_connection full_connection(void)
{
	struct ike_sj_connection c = full;
	c.homes[0] = ip("10.1.2.3");
	c.homes[1] = ip("fd00::7");
	return c;
}

static void connection_fields(void **state)
{
	(void)state;
	static const uint8_t expected[] = {0x03, 0x02, 0x02, 0x58, 0x0a, 'w',  'l', 'a', 'n', '0',
					   '@',	 'h',  'o',  'm',  'e',	 0x04, 10,  1,	 2,   3,
					   0x06, 0xfd, 0,    0,	   0,	 0,    0,   0,	 0,   0,
					   0,	 0,    0,    0,	   0,	 0,    7};
	uint8_t buf[ROOM];
	struct ike_builder b = ike_builder_of(buf, sizeof(buf), NULL);
	struct ike_sj_connection in = full_connection(), out;
	sojourn_put_connection(&b, &in);
	struct ike_payloads p;
	chain(&b, buf, &p);
	struct ike_notify n;
	assert_true(ike_find_notify(&p, SJ_N_CONNECTION, &n));
	assert_int_equal(n.len, sizeof(expected));
	assert_memory_equal(n.data, expected, sizeof(expected));
	assert_true(sojourn_take_connection(&p, &out));
	assert_memory_equal(&in, &out, sizeof(in));
}

static void registered_fields(void **state)
{
	(void)state;
	static const uint8_t expected[] = {0x85, 0x03, 0x00, 0x3c, 1, 2,    3, 4, 5, 6, 7,
					   8,	 10,   9,    8,	   7, 0xfd, 0, 0, 0, 0, 0,
					   0,	 0,    0,    0,	   0, 0,    0, 0, 0, 1};
	uint8_t buf[ROOM];
	struct ike_builder b = ike_builder_of(buf, sizeof(buf), NULL);
	struct ike_sj_registered in = {.code = 133,
				       .lifetime_s = 60,
				       .time = 0x0102030405060708,
				       .home_agent4 = ip("10.9.8.7"),
				       .home_agent6 = ip("fd00::1")},
				 out;
	sojourn_put_registered(&b, &in);
	struct ike_payloads p;
	chain(&b, buf, &p);
	struct ike_notify n;
	assert_true(ike_find_notify(&p, SJ_N_REGISTERED, &n));
	assert_int_equal(n.len, sizeof(expected));
	assert_memory_equal(n.data, expected, sizeof(expected));
	assert_true(sojourn_take_registered(&p, &out));
	assert_int_equal(out.code, in.code);
	assert_int_equal(out.lifetime_s, in.lifetime_s);
	assert_int_equal(out.time, in.time);
	assert_true(addr_equal(&out.home_agent4, &in.home_agent4));
	assert_true(addr_equal(&out.home_agent6, &in.home_agent6));
}

typedef bool take_fn(const struct ike_payloads *p);

static bool take_connection(const struct ike_payloads *p)
{
	struct ike_sj_connection c;
	return sojourn_take_connection(p, &c);
}

static bool take_registered(const struct ike_payloads *p)
{
	struct ike_sj_registered r;
	return sojourn_take_registered(p, &r);
}

/* Is a notify with these data taken? */
static bool takes(uint16_t type, const uint8_t *data, size_t len, take_fn *take)
{
	uint8_t buf[ROOM];
	uint8_t *exact = mem_zalloc(len + 1); /* for the sanitizer */
	memcpy(exact, data, len);
	struct ike_builder b = ike_builder_of(buf, sizeof(buf), NULL);
	ike_put_notify(&b, type, exact, len);
	struct ike_payloads p;
	chain(&b, buf, &p);
	bool ok = take(&p);
	free(exact);
	return ok;
}

static void cut_anywhere(void **state)
{
	(void)state;
	uint8_t buf[ROOM], data[ROOM];
	struct ike_payloads p;
	struct ike_notify n;
	struct ike_builder b = ike_builder_of(buf, sizeof(buf), NULL);
	struct ike_sj_connection c = full_connection();
	struct ike_sj_registered r = {.home_agent4 = ip("10.9.8.7"), .home_agent6 = ip("fd00::1")};
	sojourn_put_connection(&b, &c);
	sojourn_put_registered(&b, &r);
	chain(&b, buf, &p);
	const struct {
		uint16_t type;
		take_fn *take;
	} both[] = {{SJ_N_CONNECTION, take_connection}, {SJ_N_REGISTERED, take_registered}};
	for (size_t i = 0; i < ARRAY_LEN(both); i++) {
		assert_true(ike_find_notify(&p, both[i].type, &n));
		memcpy(data, n.data, n.len);
		data[n.len] = 0;
		for (size_t len = 0; len < n.len; len++)
			assert_false(takes(both[i].type, data, len, both[i].take));
		assert_true(takes(both[i].type, data, n.len, both[i].take));
		assert_false(takes(both[i].type, data, n.len + 1, both[i].take));
	}
}

static void hostile_fields(void **state)
{
	(void)state;
	static const struct {
		const char *what;
		uint8_t data[64];
		size_t len;
		bool good;
	} rows[] = {
	    {"nothing told", {0, 0, 0, 0, 0}, 5, true},
	    {"five homes",
	     {0, 5, 0, 0, 0, 4, 1, 1, 1, 1, 4, 1, 1, 1, 1,
	      4, 1, 1, 1, 1, 4, 1, 1, 1, 1, 4, 1, 1, 1, 1},
	     30,
	     false},
	    {"a home of family 5", {0, 1, 0, 0, 0, 5, 1, 1, 1, 1}, 10, false},
	    {"a name with a NUL", {0, 0, 0, 0, 2, 'a', 0}, 7, false},
	    {"a name with an escape", {0, 0, 0, 0, 2, 27, '['}, 7, false},
	    {"a name too long",
	     {0,   0,	0,   0,	  40,  'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a',
	      'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a',
	      'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a'},
	     45,
	     false},
	    {"flags of later days", {0xf0, 0, 0, 0, 0}, 5, true},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (takes(SJ_N_CONNECTION, rows[i].data, rows[i].len, take_connection) !=
		    rows[i].good)
			fail_msg("%s", rows[i].what);
}

/* --- with child SAs */

static struct rig *two_sojourns(bool a, bool b)
{
	struct rig *g = rig_new();
	g->a.peer.sojourn = a;
	g->b.peer.sojourn = b;
	rig_start(g);
	return g;
}

static struct ike_sa *initiate(struct rig *g, const struct ike_sj_connection *c)
{
	struct ike_path path = rig_path(true);
	return ike_initiate(g->a.e, &g->a.peer, &path, c, NULL, g->now_us);
}

static void with_first_child(void **state)
{
	(void)state;
	struct rig *g = two_sojourns(true, true);
	struct ike_sj_connection c = full_connection();
	initiate(g, &c);
	rig_settle(g);
	rig_check(g);
	assert_true(ike_sa_is_sojourn(g->a.sa) && ike_sa_is_sojourn(g->b.sa));
	const struct rig_child *a = rig_last(&g->a), *b = rig_last(&g->b);
	assert_true(b->had_connection && a->has_registered);
	assert_memory_equal(&b->connection, &c, sizeof(c));
	assert_int_equal(a->registered.lifetime_s, 600);
	assert_int_equal(a->registered.time, 7);
	assert_true(a->udp && b->udp); /* without any NAT */
	rig_free(g);
}

static void with_more_children(void **state)
{
	(void)state;
	struct rig *g = two_sojourns(true, true);
	struct ike_sj_connection c = {.name = "spare-1", .spare = true};
	initiate(g, NULL);
	rig_settle(g);
	assert_false(rig_last(&g->b)->had_connection);
	g->ladder[0] = '\0';
	assert_int_equal(ike_child_create(g->a.e, g->a.sa, &c, NULL, g->now_us), 0);
	rig_settle(g);
	rig_ladder_is(g, "a:CHILD b:CHILD'");
	rig_check(g);
	assert_int_equal(rig_up_count(&g->a), 2);
	assert_string_equal(rig_last(&g->b)->connection.name, "spare-1");
	assert_true(rig_last(&g->b)->connection.spare);
	assert_true(rig_last(&g->a)->has_registered); /* the clock, at least */
	assert_int_equal(rig_last(&g->a)->registered.lifetime_s, 0);
	rig_free(g);
}

/* One of them is not allowed to, or cannot: then neither does, and both know it. */
static void only_together(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		struct rig *g = two_sojourns(i & 1, i & 2);
		struct ike_sj_connection c = full_connection();
		initiate(g, &c);
		rig_settle(g);
		rig_check(g);
		assert_false(ike_sa_is_sojourn(g->a.sa) || ike_sa_is_sojourn(g->b.sa));
		assert_false(rig_last(&g->b)->had_connection || rig_last(&g->a)->has_registered);
		assert_false(rig_last(&g->a)->udp || rig_last(&g->b)->udp);
		rig_free(g);
	}
}

/* The IKE SA follows the terminal's requests, without a word of MOBIKE. */
static void follows_the_terminal(void **state)
{
	(void)state;
	struct rig *g = two_sojourns(true, true);
	initiate(g, NULL);
	rig_settle(g);
	g->ladder[0] = '\0';
	struct ike_path path = *ike_sa_path(g->a.sa);
	path.local.addr = ip("192.0.2.77");
	ike_sa_move(g->a.e, g->a.sa, &path, false, g->now_us);
	rig_settle(g);
	rig_ladder_is(g, "");
	ike_sa_probe(g->a.e, g->a.sa, g->now_us);
	rig_settle(g);
	rig_ladder_is(g, "a:INFO b:INFO'");
	assert_true(addr_equal(&ike_sa_path(g->b.sa)->remote.addr, &path.local.addr));
	/* Told, for its children have paths of their own, and it may be to follow one of them. */
	assert_int_equal(g->b.moves, 1);
	assert_int_equal(g->a.moves, 0);
	ike_sa_probe(g->b.e, g->b.sa, g->now_us);
	rig_settle(g);
	rig_ladder_is(g, "b:INFO a:INFO'");
	rig_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(connection_fields), cmocka_unit_test(registered_fields),
	    cmocka_unit_test(cut_anywhere),	 cmocka_unit_test(hostile_fields),
	    cmocka_unit_test(with_first_child),	 cmocka_unit_test(with_more_children),
	    cmocka_unit_test(only_together),	 cmocka_unit_test(follows_the_terminal),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
