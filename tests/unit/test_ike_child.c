/* SPDX-License-Identifier: MIT */
/* What child SAs are agreed to be: proposals, selectors and their narrowing, modes, protocols,
 * lives; and messages made by hand that must not make one. */
#include "ike_rig.h"

static void assert_ts(const struct ike_ts_list *l, const char *expected, const char *what)
{
	char text[4 * IKE_TS_TEXT_MAX] = "", one[IKE_TS_TEXT_MAX];
	for (unsigned i = 0; i < l->count; i++) {
		size_t n = strlen(text);
		snprintf(text + n, sizeof(text) - n, "%s%s", n ? " " : "",
			 ike_ts_format(&l->at[i], one));
	}
	if (strcmp(text, expected) != 0)
		fail_msg("%s: \"%s\", not \"%s\"", what, text, expected);
}

/* "10.0.0.0/24 fd00::/64" */
static void set_ts(struct ike_ts_list *l, const char *text)
{
	char words[256];
	snprintf(words, sizeof(words), "%s", text);
	l->count = 0;
	for (char *save, *w = strtok_r(words, " ", &save); w; w = strtok_r(NULL, " ", &save))
		l->at[l->count++] = rig_ts(w);
}

static void start(struct rig *g)
{
	rig_start(g);
	rig_initiate(g);
	rig_settle(g);
	assert_non_null(g->a.sa);
	assert_non_null(g->b.sa);
}

/* --- selectors */

struct ts_row {
	const char *what, *a_local, *a_remote, *b_local, *b_remote; /* policies */
	const char *local, *remote; /* a's, narrowed; NULL: refused */
};

#define EVERYTHING "0.0.0.0/0 ::/0"

static const struct ts_row ts_rows[] = {
    {"the same", "10.1.0.0/24", "10.2.0.0/24", "10.2.0.0/24", "10.1.0.0/24", "10.1.0.0/24",
     "10.2.0.0/24"},
    {"the responder has less", "10.0.0.0/8", "10.0.0.0/8", "10.2.0.0/24", "10.1.0.0/24",
     "10.1.0.0/24", "10.2.0.0/24"},
    {"the responder has more", "10.1.2.0/24", "10.2.0.0/16", "10.0.0.0/8", "10.0.0.0/8",
     "10.1.2.0/24", "10.2.0.0/16"},
    {"two parts of one", "10.0.0.0/8", "0.0.0.0/0", "10.2.0.0/24 10.4.0.0/24", "10.1.0.0/24",
     "10.1.0.0/24", "10.2.0.0/24 10.4.0.0/24"},
    {"both families", "10.1.0.0/24 fd00:1::/64", EVERYTHING, EVERYTHING, "10.1.0.0/24 fd00:1::/64",
     "10.1.0.0/24 fd00:1::/64", EVERYTHING},
    {"one family is left", "10.1.0.0/24 fd00:1::/64", EVERYTHING, "0.0.0.0/0", "10.0.0.0/8",
     "10.1.0.0/24", "0.0.0.0/0"},
    {"nothing in common", "10.1.0.0/24", "10.2.0.0/24", "10.3.0.0/24", "10.1.0.0/24", NULL, NULL},
    {"families that do not meet", "10.1.0.0/24", "10.2.0.0/24", "fd00:2::/64", "fd00:1::/64", NULL,
     NULL},
    /* Without a policy: the client's address, and everything. */
    {"none", "", "", "", "", "192.0.2.1/32", EVERYTHING},
    {"the server's only", "", "", "10.2.0.0/24", "0.0.0.0/0", "192.0.2.1/32", "10.2.0.0/24"},
};

static void selectors(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(ts_rows); i++) {
		const struct ts_row *r = &ts_rows[i / 2];
		struct rig *g = rig_new();
		/* In IKE_AUTH and in an exchange of its own. */
		g->a.peer.childless = i & 1;
		set_ts(&g->a.peer.child.local, r->a_local);
		set_ts(&g->a.peer.child.remote, r->a_remote);
		set_ts(&g->b.peer.child.local, r->b_local);
		set_ts(&g->b.peer.child.remote, r->b_remote);
		start(g);
		rig_check(g);
		if (!r->local) {
			assert_int_equal(rig_up_count(&g->a), 0);
			assert_int_equal(g->a.fail_notify, IKE_N_TS_UNACCEPTABLE);
			rig_free(g);
			continue;
		}
		for (int again = 0; again < 3; again++) {
			assert_int_equal(rig_up_count(&g->a), 1);
			assert_ts(&rig_last(&g->a)->local, r->local, r->what);
			assert_ts(&rig_last(&g->a)->remote, r->remote, r->what);
			assert_ts(&rig_last(&g->b)->local, r->remote, r->what);
			assert_ts(&rig_last(&g->b)->remote, r->local, r->what);
			/* A rekey from either side keeps them. */
			struct rig_node *n = again ? &g->b : &g->a;
			ike_child_rekey(n->e, rig_last(n)->child, g->now_us);
			rig_settle(g);
			rig_check(g);
		}
		rig_free(g);
	}
}

/* --- proposals */

struct suite_row {
	const char *what, *a, *b, *chosen; /* NULL: none */
	bool ah;
};

static const struct suite_row suite_rows[] = {
    {"GCM", "aes256gcm16", "aes256gcm16", "aes256-gcm16/esn", false},
    {"the responder's order", "aes128gcm16 chacha20poly1305", "chacha20poly1305 aes128gcm16",
     "chacha20-poly1305/esn", false},
    {"CBC and SHA-2", "aes256-sha512", "aes128-sha256 aes256-sha512",
     "aes256-cbc/hmac-sha-512-256/esn", false},
    {"no ESN", "aes128gcm16-noesn", "aes128gcm16", "aes128-gcm16", false},
    {"ESN insisted on, not to be had", "aes128gcm16-esn", "aes128gcm16-noesn", NULL, false},
    {"nothing in common", "aes128gcm16", "aes256gcm16", NULL, false},
    {"AH", "sha256", "sha384 sha256", "hmac-sha-256-128/esn", true},
    {"AH, nothing in common", "sha256", "sha512", NULL, true},
};

static void set_suites(struct ike_child_config *c, const struct suite_row *r, const char *text)
{
	c->esp.count = c->ah.count = 0;
	rig_suites(r->ah ? SUITE_AH : SUITE_ESP, text, r->ah ? &c->ah : &c->esp);
}

static void proposals(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(suite_rows); i++) {
		const struct suite_row *r = &suite_rows[i];
		struct rig *g = rig_new();
		set_suites(&g->a.peer.child, r, r->a);
		set_suites(&g->b.peer.child, r, r->b);
		start(g);
		rig_check(g);
		if (!r->chosen) {
			if (g->a.fail_notify != IKE_N_NO_PROPOSAL_CHOSEN || rig_up_count(&g->a))
				fail_msg("%s: %u", r->what, g->a.fail_notify);
			rig_free(g);
			continue;
		}
		if (rig_up_count(&g->a) != 1)
			fail_msg("%s: %s", r->what, g->lines);
		char text[SUITE_TEXT_MAX];
		const struct rig_child *c = rig_last(&g->a);
		assert_int_equal(c->protocol, r->ah ? IKE_PROTO_AH : IKE_PROTO_ESP);
		suite_format(r->ah ? SUITE_AH : SUITE_ESP, ike_child_suite(c->child), text);
		if (strcmp(text, r->chosen) != 0)
			fail_msg("%s: \"%s\"", r->what, text);
		ike_child_rekey(g->b.e, rig_last(&g->b)->child, g->now_us);
		rig_settle(g);
		rig_check(g);
		assert_int_equal(rig_last(&g->a)->protocol, c->protocol);
		rig_free(g);
	}
}

/* A responder with both takes either. */
static void esp_or_ah(void **state)
{
	(void)state;
	struct rig *g = rig_new();
	rig_suites(SUITE_AH, "sha256", &g->b.peer.child.ah);
	rig_suites(SUITE_AH, "sha256", &g->a.peer.child.ah);
	g->a.peer.child.esp.count = 0;
	start(g);
	rig_check(g);
	assert_int_equal(rig_last(&g->b)->protocol, IKE_PROTO_AH);
	/* AH's key only. */
	assert_int_equal(rig_last(&g->b)->key_len, 32);
	rig_free(g);
}

/* --- mode */

static void transport_mode(void **state)
{
	(void)state;
	static const struct {
		const char *what;
		bool a, b, agreed;
	} rows[] = {{"both", true, true, true},
		    {"the responder not", true, false, false},
		    {"the initiator not", false, true, false}};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct rig *g = rig_new();
		g->a.peer.child.transport = rows[i].a;
		g->b.peer.child.transport = rows[i].b;
		set_ts(&g->a.peer.child.local, rows[i].a ? "" : "192.0.2.1/32");
		set_ts(&g->a.peer.child.remote, rows[i].a ? "" : "198.51.100.1/32");
		set_ts(&g->b.peer.child.local, rows[i].b ? "" : "198.51.100.1/32");
		set_ts(&g->b.peer.child.remote, rows[i].b ? "" : "192.0.2.1/32");
		start(g);
		rig_check(g);
		assert_int_equal(rig_up_count(&g->a), 1);
		for (int again = 0; again < 3; again++) {
			const struct rig_child *c = rig_last(&g->a);
			assert_int_equal(c->transport, rows[i].agreed);
			assert_ts(&c->local, "192.0.2.1/32", rows[i].what);
			assert_ts(&c->remote, "198.51.100.1/32", rows[i].what);
			struct rig_node *n = again ? &g->b : &g->a;
			ike_child_rekey(n->e, rig_last(n)->child, g->now_us);
			rig_settle(g);
			rig_check(g);
		}
		rig_free(g);
	}
}

/* RFC 7296 2.23.1: each side has the addresses that it sees. */
static void transport_through_nat(void **state)
{
	(void)state;
	struct rig *g = rig_new();
	g->nat = true;
	g->nat_port = 1000;
	g->a.peer.child.transport = g->b.peer.child.transport = true;
	g->a.peer.child.local.count = g->a.peer.child.remote.count = 0;
	g->b.peer.child.local.count = g->b.peer.child.remote.count = 0;
	start(g);
	rig_check(g);
	for (int again = 0; again < 3; again++) {
		assert_int_equal(rig_up_count(&g->a), 1);
		assert_true(rig_last(&g->a)->transport && rig_last(&g->a)->udp);
		assert_ts(&rig_last(&g->a)->local, "192.0.2.1/32", "a's");
		assert_ts(&rig_last(&g->a)->remote, "198.51.100.1/32", "a's");
		assert_ts(&rig_last(&g->b)->local, "198.51.100.1/32", "b's");
		assert_ts(&rig_last(&g->b)->remote, "203.0.113.9/32", "b's");
		struct rig_node *n = again ? &g->b : &g->a;
		ike_child_rekey(n->e, rig_last(n)->child, g->now_us);
		rig_settle(g);
		rig_check(g);
	}
	rig_free(g);
}

/* --- several */

static void several(void **state)
{
	(void)state;
	struct rig *g = rig_up(rig_new());
	int cookies[4];
	for (int i = 0; i < 4; i++)
		assert_int_equal(ike_child_create(g->a.e, g->a.sa, NULL, &cookies[i], g->now_us),
				 0);
	assert_int_equal(ike_child_create(g->b.e, g->b.sa, NULL, NULL, g->now_us), 0);
	rig_settle(g);
	rig_check(g);
	assert_int_equal(rig_up_count(&g->a), 6);
	unsigned shown = 0;
	for (struct ike_child *c = ike_child_first(g->a.sa); c; c = ike_child_next(c))
		shown++;
	assert_int_equal(shown, 6);
	/* Each has keys of its own. */
	for (unsigned i = 0; i < g->a.child_count; i++)
		for (unsigned k = 0; k < i; k++)
			assert_memory_not_equal(g->a.children[i].key_in, g->a.children[k].key_in,
						g->a.children[i].key_len);
	/* One goes, the others stay. */
	ike_child_delete(g->b.e, g->b.children[2].child, "enough", g->now_us);
	rig_settle(g);
	rig_check(g);
	assert_int_equal(rig_up_count(&g->a), 5);
	assert_null(g->b.children[2].child);
	rig_free(g);
}

static void too_many(void **state)
{
	(void)state;
	struct rig *g = rig_up(rig_new());
	for (unsigned i = 0; i < 255; i++)
		assert_int_equal(ike_child_create(g->a.e, g->a.sa, NULL, NULL, g->now_us), 0);
	rig_settle(g);
	assert_int_equal(rig_up_count(&g->b), 256);
	assert_int_equal(g->a.failures, 0);
	assert_int_equal(ike_child_create(g->a.e, g->a.sa, NULL, NULL, g->now_us), 0);
	rig_settle(g);
	assert_int_equal(g->a.failures, 1);
	assert_int_equal(g->a.fail_notify, IKE_N_NO_ADDITIONAL_SAS);
	assert_int_equal(rig_up_count(&g->a), 256);
	rig_free(g);
}

static void not_established(void **state)
{
	(void)state;
	struct rig *g = rig_new();
	rig_start(g);
	struct ike_sa *sa = rig_initiate(g);
	assert_int_not_equal(ike_child_create(g->a.e, sa, NULL, NULL, g->now_us), 0);
	rig_free(g);
}

/* --- made by hand: a's requests to b */

struct hand {
	struct ike_proposals p;
	uint32_t spi;
	uint8_t nonce[IKE_NONCE_MAX];
	size_t nonce_len;
	bool ts;
};

static struct hand hand_new(void)
{
	struct hand h = {.spi = 0xa0a0, .nonce_len = 32, .ts = true};
	h.p.count = 1;
	h.p.at[0] =
	    (struct ike_proposal){.number = 1,
				  .protocol = IKE_PROTO_ESP,
				  .spi_len = 4,
				  .count = 2,
				  .at = {{.type = IKE_TRANSFORM_ENCR, .id = 20, .key_bits = 128},
					 {.type = IKE_TRANSFORM_ESN, .id = 1}}};
	return h;
}

/* Sends it and takes the id; the answer is judged by what b has then. */
static void hand_send(struct rig *g, struct hand *h)
{
	uint8_t inner[2048];
	struct ike_builder b = ike_builder_of(inner, sizeof(inner), NULL);
	struct writer w = writer_of(h->p.at[0].spi, 4);
	writer_u32(&w, h->spi);
	ike_put_sa(&b, &h->p);
	ike_put_bytes(&b, IKE_PAYLOAD_NONCE, h->nonce, h->nonce_len);
	if (h->ts) {
		ike_put_ts(&b, IKE_PAYLOAD_TSI, &g->a.peer.child.local);
		ike_put_ts(&b, IKE_PAYLOAD_TSR, &g->a.peer.child.remote);
	}
	size_t len = ike_builder_finish(&b);
	assert_true(len > 0);
	struct rig_hand m = {.exchange = IKE_CREATE_CHILD_SA,
			     .id = g->a.sa->next_id++,
			     .first = b.first,
			     .inner = inner,
			     .len = len};
	rig_say(g, g->a.sa, &m);
}

static void made_by_hand(void **state)
{
	(void)state;
	static const struct {
		const char *what;
		int kind;
		bool good, sa_stays;
	} rows[] = {
	    {"as it should be", 0, true, true},	      {"an SPI of 0", 1, false, true},
	    {"a reserved SPI", 2, false, true},	      {"an SPI of 8 octets", 3, false, true},
	    {"a nonce of 15 octets", 4, false, true}, {"no selectors", 5, false, false},
	    {"a nonce of 16 octets", 6, true, true},  {"a nonce of 256 octets", 7, true, true},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct rig *g = rig_up(rig_new());
		struct hand h = hand_new();
		switch (rows[i].kind) {
		case 1:
			h.spi = 0;
			break;
		case 2:
			h.spi = 255;
			break;
		case 3:
			h.p.at[0].spi_len = 8;
			break;
		case 4:
			h.nonce_len = 15;
			break;
		case 5:
			h.ts = false;
			break;
		case 6:
			h.nonce_len = 16;
			break;
		case 7:
			h.nonce_len = 256;
			break;
		}
		hand_send(g, &h);
		bool stays = ike_count(g->b.e, IKE_SA_ESTABLISHED) == 1;
		bool made = rig_up_count(&g->b) == 2;
		if (stays != rows[i].sa_stays || made != rows[i].good)
			fail_msg("%s: %s", rows[i].what, g->lines);
		rig_free(g);
	}
}

/* --- answers made by hand: b's to a's request */

static bool change_answer(struct rig *g, struct rig_datagram *d)
{
	(void)g;
	return d->from_a;
}

/* The real answer is held back, and another one is given in its place. */
static void answers(void **state)
{
	(void)state;
	static const struct {
		const char *what;
		const char *ts_i, *ts_r;
		uint32_t spi;
		uint16_t encr_bits;
		bool transport, good;
	} rows[] = {
	    {"as it should be", "10.1.0.0/24", "10.2.0.0/24", 0xb0b0, 128, false, true},
	    {"narrower", "10.1.0.0/30", "10.2.0.7/32", 0xb0b0, 128, false, true},
	    {"wider than offered", "10.1.0.0/16", "10.2.0.0/24", 0xb0b0, 128, false, false},
	    {"somewhere else", "10.1.0.0/24", "10.9.0.0/24", 0xb0b0, 128, false, false},
	    {"no selector", "", "10.2.0.0/24", 0xb0b0, 128, false, false},
	    {"never offered", "10.1.0.0/24", "10.2.0.0/24", 0xb0b0, 256, false, false},
	    {"an SPI of 0", "10.1.0.0/24", "10.2.0.0/24", 0, 128, false, false},
	    {"transport that nobody asked for", "10.1.0.0/24", "10.2.0.0/24", 0xb0b0, 128, true,
	     false},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct rig *g = rig_up(rig_new());
		g->hook = change_answer;
		assert_int_equal(ike_child_create(g->a.e, g->a.sa, NULL, NULL, g->now_us), 0);
		struct hand h = hand_new();
		struct ike_ts_list ti, tr;
		set_ts(&ti, rows[i].ts_i);
		set_ts(&tr, rows[i].ts_r);
		h.p.at[0].at[0].key_bits = rows[i].encr_bits;
		struct writer w = writer_of(h.p.at[0].spi, 4);
		writer_u32(&w, rows[i].spi);
		uint8_t inner[2048];
		struct ike_builder b = ike_builder_of(inner, sizeof(inner), NULL);
		ike_put_sa(&b, &h.p);
		ike_put_bytes(&b, IKE_PAYLOAD_NONCE, h.nonce, h.nonce_len);
		ike_put_ts(&b, IKE_PAYLOAD_TSI, &ti);
		ike_put_ts(&b, IKE_PAYLOAD_TSR, &tr);
		if (rows[i].transport)
			ike_put_notify(&b, IKE_N_USE_TRANSPORT_MODE, NULL, 0);
		size_t len = ike_builder_finish(&b);
		struct rig_hand m = {.exchange = IKE_CREATE_CHILD_SA,
				     .response = true,
				     .id = g->a.sa->next_id - 1,
				     .first = b.first,
				     .inner = inner,
				     .len = len};
		rig_say(g, g->b.sa, &m);
		bool made = rig_up_count(&g->a) == 2;
		if (made != rows[i].good || (g->a.failures == 0) != rows[i].good)
			fail_msg("%s: %s", rows[i].what, g->lines);
		/* Never seen by the daemon, and never shown. */
		unsigned shown = 0;
		for (struct ike_child *c = ike_child_first(g->a.sa); c; c = ike_child_next(c))
			shown++;
		assert_int_equal(shown, rig_up_count(&g->a));
		rig_free(g);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(selectors),
	    cmocka_unit_test(proposals),
	    cmocka_unit_test(esp_or_ah),
	    cmocka_unit_test(transport_mode),
	    cmocka_unit_test(transport_through_nat),
	    cmocka_unit_test(several),
	    cmocka_unit_test(too_many),
	    cmocka_unit_test(not_established),
	    cmocka_unit_test(made_by_hand),
	    cmocka_unit_test(answers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
