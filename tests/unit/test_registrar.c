/* SPDX-License-Identifier: MIT */
/* The home server's rules of registration, as tables. */
#include "registrar_rig.h"

/* --- RFC 5944 */

static void first_request_makes_the_connection_active(void **state)
{
	(void)state;
	struct rig *g = rig_new(1);
	struct mip4_request q = request(g);
	assert_int_equal(ask(g, g->a[0], &q), MIP4_ACCEPTED);
	assert_string_equal(g->trace, "BR");
	assert_string_equal(rig_bound(g, "10.0.0.9"), "a0");
	assert_ptr_equal(g->reply_conn, g->a[0]);
	assert_int_equal(g->reply_port, 4340);
	assert_int_equal(g->reply.lifetime_s, 300);
	assert_int_equal(g->reply.identification, q.identification);
	assert_memory_equal(g->reply.home, q.home, 4);
	assert_memory_equal(g->reply.home_agent, q.home_agent, 4);
	uint8_t mac[MAC_LEN];
	assert_true(g->reply.ext.has_auth);
	assert_int_equal(g->reply.ext.auth_spi, SPI_A);
	assert_int_equal(mac_compute(key_a, sizeof(key_a), g->msg, g->reply.ext.auth_covers, mac),
			 0);
	assert_memory_equal(mac, g->reply.ext.auth, MAC_LEN);
	const struct move *mv = moves_at(g->moves, 0);
	assert_non_null(mv);
	assert_int_equal(mv->kind, MOVE_START);
	assert_string_equal(mv->to, "a0");
	assert_true(mv->done);
	assert_int_equal(mv->signalling_packets, 2);
	rig_free(g);
}

static void a_refresh_publishes_nothing(void **state)
{
	(void)state;
	struct rig *g = rig_new(1);
	struct mip4_request q = request(g);
	assert_int_equal(ask(g, g->a[0], &q), MIP4_ACCEPTED);
	usec_t expires = rig_binding(g, "10.0.0.9")->expires_us;
	g->now_us += 10 * USEC_PER_SEC;
	q = request(g);
	assert_int_equal(ask(g, g->a[0], &q), MIP4_ACCEPTED);
	assert_string_equal(g->trace, "R");
	assert_int_equal(rig_binding(g, "10.0.0.9")->expires_us,
			 expires + 10 * USEC_PER_SEC + 1000);
	assert_null(moves_at(g->moves, 1));
	rig_free(g);
}

static void a_move_leaves_the_old_one_ready(void **state)
{
	(void)state;
	struct rig *g = rig_new(1);
	struct mip4_request q = request(g);
	(void)ask(g, g->a[0], &q);
	q = request(g);
	assert_int_equal(ask(g, g->a[1], &q), MIP4_ACCEPTED);
	assert_string_equal(g->trace, "BR");
	assert_string_equal(rig_bound(g, "10.0.0.9"), "a1");
	assert_int_equal(g->a[0]->state, CONN_READY);
	assert_false(atomic_load(&g->a[0]->in->active));
	assert_string_equal(moves_at(g->moves, 1)->from, "a0");
	assert_string_equal(moves_at(g->moves, 1)->to, "a1");
	rig_free(g);
}

struct denial_case {
	const char *name;
	int code; /* -1: no reply at all */
	void (*spoil)(struct rig *g, struct mip4_request *q);
	bool key_of_b;
	bool on_b;
};

static void spoil_nothing(struct rig *g, struct mip4_request *q)
{
	(void)g;
	(void)q;
}
static void spoil_home(struct rig *g, struct mip4_request *q)
{
	(void)g;
	q->home[3] = 10;
}
static void spoil_home_unknown(struct rig *g, struct mip4_request *q)
{
	(void)g;
	q->home[3] = 99;
}
static void spoil_agent(struct rig *g, struct mip4_request *q)
{
	(void)g;
	q->home_agent[3] = 2;
}
static void spoil_agent_any(struct rig *g, struct mip4_request *q)
{
	(void)g;
	memset(q->home_agent, 0, 4);
}
static void spoil_agent_broadcast(struct rig *g, struct mip4_request *q)
{
	(void)g;
	memset(q->home_agent, 255, 4);
}
static void spoil_spi(struct rig *g, struct mip4_request *q)
{
	(void)g;
	q->ext.auth_spi = SPI_B;
}
static void spoil_slow(struct rig *g, struct mip4_request *q)
{
	q->identification = id_at(g, -8100000);
}
static void spoil_slow_enough(struct rig *g, struct mip4_request *q)
{
	q->identification = id_at(g, -6000000);
}
static void spoil_fast(struct rig *g, struct mip4_request *q)
{
	q->identification = id_at(g, 8100000);
}
static void spoil_fast_enough(struct rig *g, struct mip4_request *q)
{
	q->identification = id_at(g, 6000000);
}
static void spoil_zero(struct rig *g, struct mip4_request *q)
{
	(void)g;
	q->identification = 0;
}
static void spoil_spis(struct rig *g, struct mip4_request *q)
{
	(void)g;
	q->ext.has_connections = true;
	q->ext.spi_count = 2;
	q->ext.spis[0] = CONN_B0;
	q->ext.spis[1] = 4711;
}

static void every_denial(void **state)
{
	(void)state;
	static const struct denial_case cases[] = {
	    {"nothing wrong", 0, spoil_nothing, false, false},
	    {"home address of another terminal", 129, spoil_home, false, false},
	    {"home address of nobody", 129, spoil_home_unknown, false, false},
	    {"key of another terminal", 131, spoil_nothing, true, false},
	    {"SPI of another terminal", 131, spoil_spi, false, false},
	    {"another's SPI and key on our connection", 131, spoil_spi, true, false},
	    {"our request on another's connection", 131, spoil_nothing, false, true},
	    {"unknown home agent", 136, spoil_agent, false, false},
	    {"any home agent", 0, spoil_agent_any, false, false},
	    {"home agent by broadcast", 0, spoil_agent_broadcast, false, false},
	    {"clock slow", 133, spoil_slow, false, false},
	    {"clock a little slow", 0, spoil_slow_enough, false, false},
	    {"clock fast", 133, spoil_fast, false, false},
	    {"clock a little fast", 0, spoil_fast_enough, false, false},
	    {"identification zero", 133, spoil_zero, false, false},
	    {"only connections of others", 129, spoil_spis, false, false},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct denial_case *c = &cases[i];
		struct rig *g = rig_new(1);
		struct mip4_request q = request(g);
		c->spoil(g, &q);
		uint8_t msg[512];
		size_t len = c->key_of_b ? seal(&q, key_b, sizeof(key_b), msg)
					 : seal(&q, key_a, sizeof(key_a), msg);
		give(g, c->on_b ? g->b : g->a[0], msg, len, false);
		int code = g->replies ? g->reply.code : -1;
		if (code != c->code)
			fail_msg("%s: code %d", c->name, code);
		if (code) {
			assert_string_equal(g->trace, "R");
			assert_string_equal(rig_bound(g, "10.0.0.9"), "");
			assert_int_equal(g->a[0]->state, CONN_READY);
			assert_int_equal(registrar_find(g->r, "a")->last_identification, 0);
			assert_int_equal(registrar_counters(g->r)->denied[code], 1);
			assert_null(moves_at(g->moves, 0));
			/* Signed for the terminal that the connection belongs to. */
			uint8_t mac[MAC_LEN];
			const uint8_t *key = c->on_b ? key_b : key_a;
			assert_int_equal(g->reply.ext.auth_spi, c->on_b ? SPI_B : SPI_A);
			assert_int_equal(
			    mac_compute(key, sizeof(key_a), g->msg, g->reply.ext.auth_covers, mac),
			    0);
			assert_memory_equal(mac, g->reply.ext.auth, MAC_LEN);
		}
		rig_free(g);
	}
}

static void the_right_home_agent_comes_with_136(void **state)
{
	(void)state;
	struct rig *g = rig_new(1);
	struct mip4_request q = request(g);
	q.home_agent[3] = 2;
	assert_int_equal(ask(g, g->a[0], &q), MIP4_UNKNOWN_HOME_AGENT);
	assert_memory_equal(g->reply.home_agent, ((uint8_t[]){10, 0, 0, 1}), 4);
	rig_free(g);
}

static void code_133_tells_our_time(void **state)
{
	(void)state;
	struct rig *g = rig_new(1);
	struct mip4_request q = request(g);
	q.identification = 0x1122334455667788u;
	assert_int_equal(ask(g, g->a[0], &q), MIP4_ID_MISMATCH);
	assert_int_equal((uint32_t)g->reply.identification, 0x55667788u);
	assert_int_equal(g->reply.identification >> 32, id_at(g, 0) >> 32);
	rig_free(g);
}

static void nothing_is_accepted_twice(void **state)
{
	(void)state;
	struct rig *g = rig_new(1);
	struct mip4_request first = request(g), second = request(g);
	assert_int_equal(ask(g, g->a[0], &second), MIP4_ACCEPTED);
	assert_int_equal(ask(g, g->a[1], &second), MIP4_ID_MISMATCH);
	assert_int_equal(ask(g, g->a[1], &first), MIP4_ID_MISMATCH);
	assert_string_equal(rig_bound(g, "10.0.0.9"), "a0");
	/* Also not by the other of two home addresses, nor after a denial in between. */
	struct mip4_request bad = request(g);
	bad.home_agent[3] = 2;
	assert_int_equal(ask(g, g->a[1], &bad), MIP4_UNKNOWN_HOME_AGENT);
	assert_int_equal(ask(g, g->a[1], &second), MIP4_ID_MISMATCH);
	rig_free(g);
}

static void forms(void **state)
{
	(void)state;
	struct rig *g = rig_new(1);
	struct mip4_request q = request(g);
	uint8_t msg[512];
	size_t len = seal(&q, key_a, sizeof(key_a), msg);
	for (size_t n = 0; n < len; n++) {
		give(g, g->a[0], msg, n, false);
		if (g->replies && g->reply.code < 128)
			fail_msg("accepted %zu of %zu octets", n, len);
		assert_string_equal(rig_bound(g, "10.0.0.9"), "");
	}
	for (size_t bit = 0; bit < len * 8; bit++) {
		msg[bit / 8] ^= (uint8_t)(1u << bit % 8);
		give(g, g->a[0], msg, len, false);
		if (g->replies && g->reply.code < 128)
			fail_msg("accepted with bit %zu flipped", bit);
		msg[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	assert_int_equal(g->changes, 0);
	give(g, g->a[0], msg, len, false);
	assert_int_equal(g->reply.code, MIP4_ACCEPTED);
	rig_free(g);
}

/* An extension in front of the authentication extension, which covers it. */
static size_t with_extension(struct rig *g, const uint8_t *ext, size_t ext_len, uint8_t *msg)
{
	struct mip4_request q = request(g);
	uint8_t plain[512];
	size_t auth_off;
	size_t len = mip4_write_request(plain, sizeof(plain), &q, &auth_off);
	memcpy(msg, plain, MIP4_REQUEST_LEN);
	memcpy(msg + MIP4_REQUEST_LEN, ext, ext_len);
	memcpy(msg + MIP4_REQUEST_LEN + ext_len, plain + MIP4_REQUEST_LEN, len - MIP4_REQUEST_LEN);
	auth_off += ext_len;
	assert_int_equal(mac_compute(key_a, sizeof(key_a), msg, auth_off, msg + auth_off), 0);
	return len + ext_len;
}

static void extensions(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		uint8_t bytes[16];
		size_t len;
		int code;
	} cases[] = {
	    {"unknown 0-127: silence", {99, 2, 0, 0}, 4, -1},
	    {"unknown 128-255: skipped", {200, 2, 0, 0}, 4, 0},
	    {"critical vendor of somebody", {38, 0, 0, 8, 0, 0, 1, 1, 0, 9, 0, 0}, 12, 141},
	    {"critical vendor of ours, unknown type",
	     {38, 0, 0, 8, 0, 0, 0x7e, 0xd9, 0, 99, 0, 0},
	     12,
	     141},
	    {"normal vendor of somebody: skipped", {134, 8, 0, 0, 0, 0, 1, 1, 0, 9}, 10, 0},
	    {"longer than the message", {200, 255, 0, 0}, 4, 134},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct rig *g = rig_new(1);
		uint8_t msg[512];
		size_t len = with_extension(g, cases[i].bytes, cases[i].len, msg);
		give(g, g->a[0], msg, len, false);
		int code = g->replies ? g->reply.code : -1;
		if (code != cases[i].code)
			fail_msg("%s: code %d", cases[i].name, code);
		assert_int_equal(registrar_counters(g->r)->silent, code == -1);
		rig_free(g);
	}
}

static void a_connection_of_no_terminal_gets_no_reply(void **state)
{
	(void)state;
	struct rig *g = rig_new(1);
	g->b->peer = NULL;
	struct mip4_request q = request(g);
	assert_int_equal(ask(g, g->b, &q), -1);
	assert_int_equal(registrar_counters(g->r)->silent, 1);
	rig_free(g);
}

static void lifetimes(void **state)
{
	(void)state;
	static const struct {
		uint16_t asked, most, granted;
	} cases[] = {
	    {300, 600, 300},   {600, 600, 600},	      {601, 600, 600},
	    {65535, 600, 600}, {65535, 65535, 65535}, {1, 600, 1},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct rig *g = rig_new(1);
		registrar_find(g->r, "a")->lifetime_max_s = cases[i].most;
		struct mip4_request q = request(g);
		q.lifetime_s = cases[i].asked;
		assert_int_equal(ask(g, g->a[0], &q), MIP4_ACCEPTED);
		assert_int_equal(g->reply.lifetime_s, cases[i].granted);
		usec_t end = g->now_us + (usec_t)cases[i].granted * USEC_PER_SEC;
		bool infinite = cases[i].granted == 65535;
		assert_int_equal(registrar_tick(g->r, g->now_us), infinite ? USEC_NEVER : end);
		rig_free(g);
	}
}

static void a_binding_expires(void **state)
{
	(void)state;
	struct rig *g = rig_new(1);
	struct mip4_request q = request(g);
	(void)ask(g, g->a[0], &q);
	usec_t end = g->now_us + 300 * USEC_PER_SEC;
	clear(g);
	assert_int_equal(registrar_tick(g->r, end - 1), end);
	assert_int_equal(g->changes, 0);
	assert_int_equal(registrar_tick(g->r, end), USEC_NEVER);
	assert_string_equal(g->trace, "B");
	assert_string_equal(rig_bound(g, "10.0.0.9"), "");
	assert_int_equal(g->a[0]->state, CONN_READY);
	assert_false(atomic_load(&g->a[0]->in->active));
	assert_int_equal(registrar_counters(g->r)->expired, 1);
	rig_free(g);
}

static void deregistration(void **state)
{
	(void)state;
	struct rig *g = rig_new(3);
	struct mip4_request q;
	for (int i = 0; i < 3; i++) {
		q = request(g);
		q.flags |= MIP4_S;
		assert_int_equal(ask(g, g->a[i], &q), MIP4_ACCEPTED);
	}
	assert_string_equal(rig_bound(g, "10.0.0.9"), "a0+a1+a2");
	/* The connection it came on. */
	q = request(g);
	q.lifetime_s = 0;
	assert_int_equal(ask(g, g->a[1], &q), MIP4_ACCEPTED);
	assert_int_equal(g->reply.lifetime_s, 0);
	assert_string_equal(rig_bound(g, "10.0.0.9"), "a0+a2");
	/* One that is named. */
	q = request(g);
	q.lifetime_s = 0;
	q.ext.has_connections = true;
	q.ext.spi_count = 1;
	q.ext.spis[0] = CONN_A0 + 2;
	assert_int_equal(ask(g, g->a[1], &q), MIP4_ACCEPTED);
	assert_string_equal(rig_bound(g, "10.0.0.9"), "a0");
	/* Everything: the care-of address is the home address. */
	q = request(g);
	q.lifetime_s = 0;
	memcpy(q.care_of, q.home, 4);
	assert_int_equal(ask(g, g->a[2], &q), MIP4_ACCEPTED);
	assert_string_equal(g->trace, "BR");
	assert_string_equal(rig_bound(g, "10.0.0.9"), "");
	assert_int_equal(registrar_tick(g->r, g->now_us + 1), USEC_NEVER);
	/* Once more: nothing to do, and that is fine. */
	q = request(g);
	q.lifetime_s = 0;
	assert_int_equal(ask(g, g->a[2], &q), MIP4_ACCEPTED);
	assert_string_equal(g->trace, "R");
	assert_int_equal(registrar_counters(g->r)->deregistrations, 4);
	rig_free(g);
}

static void simultaneous(void **state)
{
	(void)state;
	struct rig *g = rig_new(1);
	struct mip4_request q = request(g);
	q.flags |= MIP4_S;
	assert_int_equal(ask(g, g->a[0], &q), MIP4_ACCEPTED_NO_SIMULTANEOUS);
	q = request(g);
	q.flags |= MIP4_S;
	assert_int_equal(ask(g, g->a[1], &q), MIP4_ACCEPTED_NO_SIMULTANEOUS);
	assert_string_equal(rig_bound(g, "10.0.0.9"), "a1");
	rig_free(g);

	g = rig_new(2);
	for (int i = 0; i < 3; i++) {
		q = request(g);
		q.flags |= MIP4_S;
		assert_int_equal(ask(g, g->a[i], &q), i < 2 ? 0 : MIP4_TOO_MANY_BINDINGS);
	}
	assert_string_equal(rig_bound(g, "10.0.0.9"), "a0+a1");
	assert_int_equal(g->a[2]->state, CONN_READY);
	q = request(g);
	assert_int_equal(ask(g, g->a[2], &q), MIP4_ACCEPTED);
	assert_string_equal(rig_bound(g, "10.0.0.9"), "a2");
	rig_free(g);
}

static void named_connections(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		uint8_t max, op, count;
		uint32_t spis[4];
		int code;
		uint8_t results[4];
		const char *bound; /* a0 is active before */
	} cases[] = {
	    {"replace by two", 3, 0, 2, {1001, 1002}, 0, {0, 0}, "a1+a2"},
	    {"add two", 3, 1, 2, {1001, 1002}, 0, {0, 0}, "a0+a1+a2"},
	    {"add what is there", 3, 1, 1, {1000}, 0, {0}, "a0"},
	    {"remove the one", 3, 2, 1, {1000}, 0, {0}, ""},
	    {"remove what is not active", 3, 2, 1, {1001}, 0, {0}, "a0"},
	    {"one of another terminal", 3, 0, 2, {1001, 2000}, 0, {0, 129}, "a1"},
	    {"one of nobody", 3, 1, 2, {9, 1002}, 0, {129, 0}, "a0+a2"},
	    {"all wrong", 3, 0, 2, {2000, 9}, 129, {129, 129}, "a0"},
	    {"the limit", 2, 1, 2, {1001, 1002}, 0, {0, 135}, "a0+a1"},
	    {"only beyond the limit", 1, 1, 1, {1001}, 135, {135}, "a0"},
	    {"named twice", 3, 0, 2, {1001, 1001}, 0, {0, 0}, "a1"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct rig *g = rig_new(cases[i].max);
		struct mip4_request q = request(g);
		(void)ask(g, g->a[0], &q);
		q = request(g);
		q.ext.has_connections = true;
		q.ext.op = cases[i].op;
		q.ext.spi_count = cases[i].count;
		memcpy(q.ext.spis, cases[i].spis, sizeof(cases[i].spis));
		int code = ask(g, g->a[0], &q);
		if (code != cases[i].code || strcmp(rig_bound(g, "10.0.0.9"), cases[i].bound) != 0)
			fail_msg("%s: code %d, bound %s", cases[i].name, code,
				 rig_bound(g, "10.0.0.9"));
		assert_int_equal(g->reply.ext.result_count, cases[i].count);
		for (int j = 0; j < cases[i].count; j++) {
			assert_int_equal(g->reply.ext.results[j].spi, cases[i].spis[j]);
			assert_int_equal(g->reply.ext.results[j].code, cases[i].results[j]);
		}
		rig_free(g);
	}
}

static void an_expired_connection_never_becomes_active(void **state)
{
	(void)state;
	struct rig *g = rig_new(3);
	struct mip4_request q = request(g);
	assert_int_equal(ask(g, g->a[0], &q), MIP4_ACCEPTED);
	conn_set_state(g->table, g->a[1], CONN_EXPIRED, g->now_us);
	for (int how = 0; how < 3; how++) {
		q = request(g);
		if (how == 1)
			q.flags |= MIP4_S;
		q.ext.has_connections = how == 2;
		q.ext.spi_count = 1;
		q.ext.spis[0] = CONN_A0 + 2;
		assert_int_equal(ask(g, g->a[1], &q), MIP4_PROHIBITED);
		assert_string_equal(g->trace, "R");
	}
	struct mip6_update u = {.sequence = 1, .flags = MIP6_A | MIP6_H, .lifetime_4s = 75};
	assert_int_equal(update(g, g->a[1], "fd00::9", "fd00::1", &u, 0), MIP6_PROHIBITED);
	/* Named over another one. */
	q = request(g);
	q.ext.has_connections = true;
	q.ext.op = MIP4_OP_ADD;
	q.ext.spi_count = 2;
	q.ext.spis[0] = CONN_A0 + 1;
	q.ext.spis[1] = CONN_A0 + 2;
	assert_int_equal(ask(g, g->a[0], &q), MIP4_ACCEPTED);
	assert_int_equal(g->reply.ext.results[0].code, MIP4_PROHIBITED);
	assert_string_equal(rig_bound(g, "10.0.0.9"), "a0+a2");
	assert_int_equal(g->a[1]->state, CONN_EXPIRED);
	assert_false(atomic_load(&g->a[1]->in->active));
	/* It may still say goodbye. */
	q = request(g);
	q.lifetime_s = 0;
	memcpy(q.care_of, q.home, 4);
	assert_int_equal(ask(g, g->a[1], &q), MIP4_ACCEPTED);
	assert_string_equal(rig_bound(g, "10.0.0.9"), "");
	rig_free(g);
}

static void a_connection_without_a_place_cannot_be_named(void **state)
{
	(void)state;
	struct rig *g = rig_new(3);
	free(g->a[0]->out->path);
	free(g->a[1]->out->path);
	g->a[0]->out->path = g->a[1]->out->path = NULL;
	struct mip4_request q = request(g);
	q.ext.has_connections = true;
	q.ext.spi_count = 3;
	for (unsigned i = 0; i < 3; i++)
		q.ext.spis[i] = CONN_A0 + i;
	/* The one it came on has its place from this very packet. */
	assert_int_equal(ask(g, g->a[0], &q), MIP4_ACCEPTED);
	assert_string_equal(rig_bound(g, "10.0.0.9"), "a0+a2");
	assert_int_equal(g->reply.ext.results[1].code, MIP4_PROHIBITED);
	q = request(g);
	q.ext.has_connections = true;
	q.ext.spi_count = 1;
	q.ext.spis[0] = CONN_A0 + 1;
	assert_int_equal(ask(g, g->a[0], &q), MIP4_PROHIBITED);
	assert_string_equal(rig_bound(g, "10.0.0.9"), "a0+a2");
	rig_free(g);
}

/* --- hello */

static void hello(void **state)
{
	(void)state;
	static const struct {
		bool has_epoch;
		uint32_t epoch;
		bool want; /* the reply is a hello: they cannot follow our epoch 77 */
	} cases[] = {
	    {false, 0, false}, {true, 77, false}, {true, 76, false},
	    {true, 0, true},   {true, 78, true},  {true, 5, true},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		for (int came = 0; came < 2; came++) {
			struct rig *g = rig_new(1);
			struct mip4_request q = request(g);
			q.ext.has_epoch = cases[i].has_epoch;
			q.ext.epoch = cases[i].epoch;
			uint8_t msg[512];
			size_t len = seal(&q, key_a, sizeof(key_a), msg);
			give(g, g->a[0], msg, len, came);
			assert_int_equal(g->reply.code, MIP4_ACCEPTED);
			assert_int_equal(g->hello, cases[i].want);
			assert_string_equal(g->trace, came ? "EBR" : "BR");
			assert_int_equal(g->epoch_number, came ? space_hello_number(0x1234) : 0);
			/* The same again is denied, and begins no epoch on either side. */
			give(g, g->a[1], msg, len, came);
			assert_int_equal(g->reply.code, MIP4_ID_MISMATCH);
			assert_false(g->hello);
			assert_string_equal(g->trace, cases[i].want || came ? "D" : "R");
			rig_free(g);
		}
}

static void epoch_zero_of_ours_is_unknown_too(void **state)
{
	(void)state;
	struct rig *g = rig_new(1);
	g->epoch_sent = 0;
	struct mip4_request q = request(g);
	q.ext.has_epoch = true;
	assert_int_equal(ask(g, g->a[0], &q), MIP4_ACCEPTED);
	assert_true(g->hello);
	rig_free(g);
}

/* --- the rest */

static void a_connection_that_is_gone_leaves_every_binding(void **state)
{
	(void)state;
	struct rig *g = rig_new(2);
	struct mip4_request q = request(g);
	(void)ask(g, g->a[0], &q);
	q = request(g);
	q.flags |= MIP4_S;
	(void)ask(g, g->a[1], &q);
	struct mip6_update u = {.sequence = 1, .flags = MIP6_A | MIP6_H, .lifetime_4s = 75};
	(void)update(g, g->a[0], "fd00::9", "fd00::1", &u, 0);
	clear(g);
	registrar_conn_gone(g->r, g->a[0], g->now_us);
	assert_string_equal(g->trace, "BB");
	assert_string_equal(rig_bound(g, "10.0.0.9"), "a1");
	assert_string_equal(rig_bound(g, "fd00::9"), "");
	assert_int_equal(g->a[0]->state, CONN_READY);
	clear(g);
	registrar_conn_gone(g->r, g->a[0], g->now_us);
	assert_string_equal(g->trace, "");
	rig_free(g);
}

static void two_homes_on_one_connection(void **state)
{
	(void)state;
	struct rig *g = rig_new(1);
	struct mip4_request q = request(g);
	(void)ask(g, g->a[0], &q);
	struct mip6_update u = {.sequence = 1, .flags = MIP6_A | MIP6_H, .lifetime_4s = 75};
	(void)update(g, g->a[0], "fd00::9", "fd00::1", &u, 0);
	/* One move on the timeline, not two. */
	assert_non_null(moves_at(g->moves, 0));
	assert_null(moves_at(g->moves, 1));
	q = request(g);
	(void)ask(g, g->a[1], &q);
	/* Still active for the other. */
	assert_int_equal(g->a[0]->state, CONN_ACTIVE);
	assert_true(atomic_load(&g->a[0]->in->active));
	rig_free(g);
}

/* --- completed setups */

static uint8_t set_up(struct rig *g, struct conn *c, const struct addr *homes, uint8_t count,
		      uint16_t wish_s, uint16_t *granted)
{
	struct registrar_setup s = {
	    .conn = c, .homes = homes, .home_count = count, .wish_s = wish_s, .now_us = g->now_us};
	clear(g);
	return registrar_set_up(g->r, &s, granted);
}

static void a_setup_registers(void **state)
{
	(void)state;
	struct rig *g = rig_new(1);
	uint16_t granted;
	assert_int_equal(set_up(g, g->a[0], NULL, 0, 100, &granted), MIP4_ACCEPTED);
	assert_int_equal(granted, 100);
	assert_string_equal(g->trace, "BB");
	assert_string_equal(rig_bound(g, "10.0.0.9"), "a0");
	assert_string_equal(rig_bound(g, "fd00::9"), "a0");
	assert_int_equal(rig_binding(g, "10.0.0.9")->why, BINDING_BY_SETUP);
	assert_int_equal(g->a[0]->state, CONN_ACTIVE);
	/* Both addresses are one move. */
	assert_string_equal(moves_at(g->moves, 0)->why, "setup");
	assert_null(moves_at(g->moves, 1));
	/* One address alone, on another connection. */
	struct addr home = ip4("fd00::9");
	assert_int_equal(set_up(g, g->a[1], &home, 1, 0, &granted), MIP4_ACCEPTED);
	assert_int_equal(granted, LIFE);
	assert_string_equal(rig_bound(g, "10.0.0.9"), "a0");
	assert_string_equal(rig_bound(g, "fd00::9"), "a1");
	g->now_us += 101 * USEC_PER_SEC;
	assert_int_equal(registrar_tick(g->r, g->now_us),
			 g->now_us + (LIFE - 101) * (usec_t)USEC_PER_SEC);
	assert_string_equal(rig_bound(g, "10.0.0.9"), "");
	rig_free(g);
}

static void a_setup_is_refused(void **state)
{
	(void)state;
	struct rig *g = rig_new(1);
	uint16_t granted = 7;
	struct addr homes[] = {ip4("10.0.0.9"), ip4("10.0.0.10")};
	assert_int_equal(set_up(g, g->a[0], homes, 2, 100, &granted), MIP4_PROHIBITED);
	assert_int_equal(granted, 0);
	assert_string_equal(g->trace, "");
	conn_set_state(g->table, g->a[0], CONN_EXPIRED, g->now_us);
	assert_int_equal(set_up(g, g->a[0], homes, 1, 100, &granted), MIP4_PROHIBITED);
	struct peer stranger = {0};
	struct conn *c = rig_conn(g, "x", 9999, &stranger);
	assert_int_equal(set_up(g, c, homes, 1, 100, &granted), MIP4_PROHIBITED);
	assert_string_equal(g->trace, "");
	rig_free(g);
}

static void what_was_asked_before_a_setup_is_past(void **state)
{
	(void)state;
	struct rig *g = rig_new(1);
	struct mip4_request before = request(g);
	g->now_us += 1000;
	struct registrar_setup s = {
	    .conn = g->a[0], .wish_s = 100, .now_us = g->now_us, .wall_us = WALL + g->now_us};
	uint16_t granted;
	assert_int_equal(registrar_set_up(g->r, &s, &granted), MIP4_ACCEPTED);
	assert_int_equal(ask(g, g->a[1], &before), MIP4_ID_MISMATCH);
	assert_string_equal(rig_bound(g, "10.0.0.9"), "a0");
	struct mip4_request after = request(g);
	assert_int_equal(ask(g, g->a[1], &after), MIP4_ACCEPTED);
	assert_string_equal(rig_bound(g, "10.0.0.9"), "a1");
	rig_free(g);
}

/* A terminal that authenticated again has another peer; both peers' connections are its own. */
static void earlier_connections_stay_the_terminals(void **state)
{
	(void)state;
	struct rig *g = rig_new(1);
	struct peer fresh = {0};
	uint16_t granted;
	struct registrar_terminal *a = registrar_find(g->r, "a");
	(void)set_up(g, g->a[0], NULL, 0, 100, &granted);
	registrar_set_peer(a, &fresh);
	struct conn *c = rig_conn(g, "fresh", 9999, &fresh);
	assert_int_equal(set_up(g, c, NULL, 0, 100, &granted), MIP4_ACCEPTED);
	assert_string_equal(rig_bound(g, "10.0.0.9"), "fresh");
	assert_int_equal(g->a[0]->state, CONN_READY);
	struct mip4_request q = request(g);
	assert_int_equal(ask(g, g->a[0], &q), MIP4_ACCEPTED);
	assert_string_equal(rig_bound(g, "10.0.0.9"), "a0");
	registrar_conn_gone(g->r, g->a[0], g->now_us);
	assert_string_equal(rig_bound(g, "10.0.0.9"), "");
	registrar_note_place(g->r, c, "192.0.2.1:4500", "192.0.2.2:4500", "mobike", false,
			     g->now_us, 0);
	size_t last = 0;
	while (moves_at(g->moves, last + 1))
		last++;
	assert_string_equal(moves_at(g->moves, last)->why, "mobike");
	assert_null(moves_at(g->moves, last)->by);
	registrar_note_place(g->r, c, "192.0.2.2:0", "192.0.2.3:0", "ah", true, g->now_us, 0);
	assert_string_equal(moves_at(g->moves, last + 1)->by, "data");
	assert_true(moves_at(g->moves, last)->done);
	rig_free(g);
}

static void what_is_taken_is_refused(void **state)
{
	(void)state;
	struct rig *g = rig_new(1);
	struct peer peer = {0};
	struct registrar_terminal *t = rig_terminal("c", &peer, SPI_A, key_a, sizeof(key_a), 1);
	t->home_count = 1;
	t->homes[0] = ip4("10.0.0.10");
	assert_int_equal(registrar_add(g->r, t), -EEXIST);
	t->homes[0] = ip4("10.0.0.11");
	assert_int_equal(registrar_add(g->r, t), 0);
	assert_ptr_equal(registrar_find(g->r, "c"), t);
	rig_free(g);
}

static void a_removed_terminal_takes_its_bindings_along(void **state)
{
	(void)state;
	struct rig *g = rig_new(1);
	struct mip4_request q = request(g);
	(void)ask(g, g->a[0], &q);
	clear(g);
	registrar_remove(g->r, registrar_find(g->r, "a"));
	assert_string_equal(g->trace, "B");
	assert_null(registrar_find(g->r, "a"));
	assert_non_null(registrar_find(g->r, "b"));
	assert_int_equal(g->a[0]->state, CONN_READY);
	assert_null(registrar_first(g->r)->next);
	q = request(g);
	assert_int_equal(ask(g, g->a[0], &q), -1);
	rig_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(first_request_makes_the_connection_active),
	    cmocka_unit_test(a_refresh_publishes_nothing),
	    cmocka_unit_test(a_move_leaves_the_old_one_ready),
	    cmocka_unit_test(every_denial),
	    cmocka_unit_test(the_right_home_agent_comes_with_136),
	    cmocka_unit_test(code_133_tells_our_time),
	    cmocka_unit_test(nothing_is_accepted_twice),
	    cmocka_unit_test(forms),
	    cmocka_unit_test(extensions),
	    cmocka_unit_test(a_connection_of_no_terminal_gets_no_reply),
	    cmocka_unit_test(lifetimes),
	    cmocka_unit_test(a_binding_expires),
	    cmocka_unit_test(deregistration),
	    cmocka_unit_test(simultaneous),
	    cmocka_unit_test(named_connections),
	    cmocka_unit_test(an_expired_connection_never_becomes_active),
	    cmocka_unit_test(a_connection_without_a_place_cannot_be_named),
	    cmocka_unit_test(hello),
	    cmocka_unit_test(epoch_zero_of_ours_is_unknown_too),
	    cmocka_unit_test(a_connection_that_is_gone_leaves_every_binding),
	    cmocka_unit_test(two_homes_on_one_connection),
	    cmocka_unit_test(a_setup_registers),
	    cmocka_unit_test(a_setup_is_refused),
	    cmocka_unit_test(what_was_asked_before_a_setup_is_past),
	    cmocka_unit_test(earlier_connections_stay_the_terminals),
	    cmocka_unit_test(what_is_taken_is_refused),
	    cmocka_unit_test(a_removed_terminal_takes_its_bindings_along),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
