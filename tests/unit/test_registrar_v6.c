/* SPDX-License-Identifier: MIT */
/* Binding Updates on the home server (RFC 6275 10.3). */
#include "registrar_rig.h"

static void update_rules(void **state)
{
	(void)state;
	static const struct {
		const char *name, *src, *dst;
		uint16_t flags;
		bool on_b;
		int status;
	} cases[] = {
	    {"right", "fd00::9", "fd00::1", MIP6_A | MIP6_H, false, 0},
	    {"no acknowledgement wanted", "fd00::9", "fd00::1", MIP6_H, false, -1},
	    {"another's home", "fd00::10", "fd00::1", MIP6_A | MIP6_H, false, 129},
	    {"on another's connection", "fd00::9", "fd00::1", MIP6_A | MIP6_H, true, 129},
	    {"not a home registration", "fd00::9", "fd00::1", MIP6_A, false, 131},
	    {"not our address", "fd00::9", "fd00::2", MIP6_A | MIP6_H, false, 133},
	    {"denied though not asked", "fd00::9", "fd00::2", MIP6_H, false, 133},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct rig *g = rig_new(1);
		struct mip6_update u = {.sequence = 7, .flags = cases[i].flags, .lifetime_4s = 75};
		int status =
		    update(g, cases[i].on_b ? g->b : g->a[0], cases[i].src, cases[i].dst, &u, 0);
		if (status != cases[i].status)
			fail_msg("%s: status %d", cases[i].name, status);
		assert_string_equal(rig_bound(g, "fd00::9"), status <= 0 ? "a0" : "");
		if (status == 0) {
			assert_string_equal(g->trace, "BR");
			assert_int_equal(g->ack.sequence, 7);
			assert_int_equal(g->ack.lifetime_4s, 75);
		}
		rig_free(g);
	}
}

static void update_sequence(void **state)
{
	(void)state;
	static const struct {
		uint16_t sequence;
		int status;
		uint16_t told;
	} steps[] = {
	    {0xfff0, 0, 0xfff0}, {0xfff0, 135, 0xfff0}, {0xffef, 135, 0xfff0},
	    {5, 0, 5}, /* past the wrap */
	    {0xfff1, 135, 5},	 {0x8005, 135, 5},	{0x8004, 0, 0x8004},
	};
	struct rig *g = rig_new(1);
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		struct mip6_update u = {
		    .sequence = steps[i].sequence, .flags = MIP6_A | MIP6_H, .lifetime_4s = 75};
		assert_int_equal(update(g, g->a[0], "fd00::9", "fd00::1", &u, 0), steps[i].status);
		assert_int_equal(g->ack.sequence, steps[i].told);
	}
	rig_free(g);
}

static void update_hello(void **state)
{
	(void)state;
	struct rig *g = rig_new(1);
	uint32_t clock_s = (uint32_t)((WALL + g->now_us) / USEC_PER_SEC);
	struct mip6_update u = {
	    .sequence = 500, .flags = MIP6_A | MIP6_H, .lifetime_4s = 75, .has_epoch = true};
	assert_int_equal(update(g, g->a[0], "fd00::9", "fd00::1", &u, clock_s), 0);
	assert_string_equal(g->trace, "EBR");
	assert_true(g->hello);
	/* It names the hello that it answers. */
	assert_int_equal(g->ack.result_count, 1);
	assert_int_equal(g->ack.results[0].code, MIP4_ACCEPTED);
	assert_int_equal(g->ack.results[0].spi, clock_s);
	/* A restart: the sequence begins anew, the epoch does not. */
	u.sequence = 3;
	assert_int_equal(update(g, g->a[1], "fd00::9", "fd00::1", &u, clock_s + 1), 0);
	assert_string_equal(rig_bound(g, "fd00::9"), "a1");
	/* Replays and clocks far off change nothing; our time is told. */
	static const int32_t stale[] = {1, 0, -5, -1000, 8, 1000};
	for (size_t i = 0; i < ARRAY_LEN(stale); i++) {
		u.sequence++;
		assert_int_equal(
		    update(g, g->a[0], "fd00::9", "fd00::1", &u, clock_s + (uint32_t)stale[i]),
		    128);
		assert_string_equal(g->trace, "D");
		assert_int_equal(g->ack.result_count, 2);
		assert_int_equal(g->ack.results[0].code, MIP4_ACCEPTED);
		assert_int_equal(g->ack.results[0].spi, clock_s + (uint32_t)stale[i]);
		assert_int_equal(g->ack.results[1].code, MIP4_ID_MISMATCH);
		assert_int_equal(g->ack.results[1].spi, clock_s + 2);
		assert_string_equal(rig_bound(g, "fd00::9"), "a1");
	}
	/* One that knows our epoch gets an ordinary answer, and nothing is named. */
	u.epoch = g->epoch_sent;
	assert_int_equal(update(g, g->a[0], "fd00::9", "fd00::1", &u, clock_s + 2), 0);
	assert_false(g->hello);
	assert_int_equal(g->ack.result_count, 0);
	/* Beside the results of connections. */
	u = (struct mip6_update){.sequence = 9,
				 .flags = MIP6_A | MIP6_H,
				 .lifetime_4s = 75,
				 .has_epoch = true,
				 .has_connections = true,
				 .spi_count = MIP4_SPIS_MAX};
	for (unsigned i = 0; i < MIP4_SPIS_MAX; i++)
		u.spis[i] = i ? 9 + i : CONN_A0;
	assert_int_equal(update(g, g->a[0], "fd00::9", "fd00::1", &u, clock_s + 3), 0);
	assert_int_equal(g->ack.result_count, MIP4_SPIS_MAX);
	assert_int_equal(g->ack.results[0].spi, clock_s + 3);
	assert_int_equal(g->ack.results[1].spi, CONN_A0);
	assert_int_equal(g->ack.results[MIP4_SPIS_MAX - 1].spi, 9 + MIP4_SPIS_MAX - 2);
	rig_free(g);
}

static void update_lifetimes(void **state)
{
	(void)state;
	static const struct {
		uint16_t asked, most_s, granted;
	} cases[] = {
	    {75, 600, 75}, {150, 600, 150},	  {151, 600, 150},
	    {1, 3, 1},	   {65535, 65535, 65535}, {65534, 65535, 16383},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct rig *g = rig_new(1);
		registrar_find(g->r, "a")->lifetime_max_s = cases[i].most_s;
		struct mip6_update u = {
		    .sequence = 1, .flags = MIP6_A | MIP6_H, .lifetime_4s = cases[i].asked};
		assert_int_equal(update(g, g->a[0], "fd00::9", "fd00::1", &u, 0), 0);
		assert_int_equal(g->ack.lifetime_4s, cases[i].granted);
		rig_free(g);
	}
}

static void update_deregisters(void **state)
{
	(void)state;
	struct rig *g = rig_new(2);
	struct mip6_update u = {.sequence = 1,
				.flags = MIP6_A | MIP6_H,
				.lifetime_4s = 75,
				.has_connections = true,
				.spi_count = 2,
				.spis = {CONN_A0, CONN_A0 + 1}};
	assert_int_equal(update(g, g->a[0], "fd00::9", "fd00::1", &u, 0), 0);
	assert_string_equal(rig_bound(g, "fd00::9"), "a0+a1");
	struct mip6_update one = {.sequence = 2,
				  .flags = MIP6_A | MIP6_H,
				  .has_care_of = true,
				  .care_of = ip4("2001:db8::5")};
	assert_int_equal(update(g, g->a[0], "fd00::9", "fd00::1", &one, 0), 0);
	assert_string_equal(rig_bound(g, "fd00::9"), "a1");
	struct mip6_update all = {.sequence = 3,
				  .flags = MIP6_A | MIP6_H,
				  .has_care_of = true,
				  .care_of = ip4("fd00::9")};
	assert_int_equal(update(g, g->a[2], "fd00::9", "fd00::1", &all, 0), 0);
	assert_string_equal(rig_bound(g, "fd00::9"), "");
	assert_int_equal(g->ack.lifetime_4s, 0);
	rig_free(g);
}

/* RFC 5648: identifiers that the terminal gives its connections. */
static void identifiers(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		int on;
		uint16_t flags, lifetime;
		uint8_t count;
		uint16_t bids[3];
		uint8_t spi_count;
		uint32_t spis[3];
		int status;
		uint8_t bid_status[3];
		const char *bound;
	} steps[] = {
	    {"a binding without one", 0, 0, 75, 0, {0}, 0, {0}, 0, {0}, "a0"},
	    {"which is in the way", 1, 0, 75, 1, {7}, 0, {0}, 165, {0}, "a0"},
	    {"overwritten", 1, MIP6_O, 75, 1, {7}, 0, {0}, 0, {0}, "a1"},
	    {"added", 0, 0, 75, 1, {8}, 0, {0}, 0, {0}, "a1+a0"},
	    {"again", 0, 0, 75, 1, {8}, 0, {0}, 0, {0}, "a1+a0"},
	    {"past the limit", 2, 0, 75, 1, {9}, 0, {0}, 130, {130}, "a1+a0"},
	    {"removed from elsewhere", 0, 0, 0, 1, {7}, 0, {0}, 0, {0}, "a0"},
	    {"unknown", 0, 0, 0, 1, {7}, 0, {0}, 129, {167}, "a0"},
	    {"all at once",
	     2,
	     MIP6_O,
	     75,
	     2,
	     {3, 4},
	     2,
	     {CONN_A0 + 2, CONN_A0 + 1},
	     0,
	     {0},
	     "a2+a1"},
	    {"not as many", 2, MIP6_O, 75, 1, {3}, 2, {CONN_A0 + 2, CONN_A0}, 164, {0}, "a2+a1"},
	    {"another terminal's",
	     2,
	     MIP6_O,
	     75,
	     2,
	     {3, 4},
	     2,
	     {CONN_A0 + 2, CONN_B0},
	     4,
	     {0, 129},
	     "a2"},
	    {"too many",
	     2,
	     MIP6_O,
	     75,
	     3,
	     {3, 4, 5},
	     3,
	     {CONN_A0 + 2, CONN_A0 + 1, CONN_A0},
	     4,
	     {0, 0, 130},
	     "a2+a1"},
	    {"one by its identifier", 2, MIP6_O, 75, 1, {4}, 0, {0}, 0, {0}, "a1"},
	    {"without one again", 0, 0, 75, 0, {0}, 0, {0}, 0, {0}, "a0"},
	};
	struct rig *g = rig_new(2);
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		struct mip6_update u = {.sequence = (uint16_t)(i + 1),
					.flags = (uint16_t)(MIP6_A | MIP6_H | steps[i].flags),
					.lifetime_4s = steps[i].lifetime,
					.bid_count = steps[i].count,
					.has_connections = steps[i].spi_count > 0,
					.spi_count = steps[i].spi_count};
		for (int k = 0; k < 3; k++) {
			u.bids[k].bid = steps[i].bids[k];
			u.spis[k] = steps[i].spis[k];
		}
		int status = update(g, g->a[steps[i].on], "fd00::9", "fd00::1", &u, 0);
		if (status != steps[i].status ||
		    strcmp(rig_bound(g, "fd00::9"), steps[i].bound) != 0)
			fail_msg("%s: status %d, bound %s", steps[i].name, status,
				 rig_bound(g, "fd00::9"));
		for (int k = 0; k < g->ack.bid_count; k++) {
			assert_int_equal(g->ack.bids[k].bid, steps[i].bids[k]);
			assert_int_equal(g->ack.bids[k].status, steps[i].bid_status[k]);
		}
		bool told = status != 164 && status != 165;
		assert_int_equal(g->ack.bid_count, told ? steps[i].count : 0);
		assert_int_equal(g->ack.result_count, told ? steps[i].spi_count : 0);
	}
	rig_free(g);
}

/* One connection is all that is allowed: as a home agent that knows no identifiers. */
static void identifiers_not_looked_at(void **state)
{
	(void)state;
	struct rig *g = rig_new(1);
	for (uint16_t i = 1; i < 3; i++) {
		struct mip6_update u = {.sequence = i,
					.flags = MIP6_A | MIP6_H,
					.lifetime_4s = 75,
					.bid_count = 1,
					.bids = {{.bid = i}}};
		assert_int_equal(update(g, g->a[i], "fd00::9", "fd00::1", &u, 0), 0);
		assert_int_equal(g->ack.bid_count, 0);
		assert_string_equal(rig_bound(g, "fd00::9"), i == 1 ? "a1" : "a2");
	}
	rig_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(update_rules),
	    cmocka_unit_test(update_sequence),
	    cmocka_unit_test(update_hello),
	    cmocka_unit_test(update_lifetimes),
	    cmocka_unit_test(update_deregisters),
	    cmocka_unit_test(identifiers),
	    cmocka_unit_test(identifiers_not_looked_at),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
