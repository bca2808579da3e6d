/* SPDX-License-Identifier: MIT */
/* IKE_SA_INIT between two engines: cookies, groups, proposals, NATs, and what an attacker in the
 * middle can and cannot bring about. */
#include "ike_rig.h"

#define UP "a:AUTH b:AUTH'"

static void test_two_round_trips(void **state)
{
	(void)state;
	struct rig *g = rig_new();
	rig_start(g);
	usec_t begun = g->now_us;
	struct ike_sa *sa = rig_initiate(g);
	assert_int_equal(ike_sa_state(sa), IKE_SA_CONNECTING);
	rig_settle(g);
	rig_ladder_is(g, "a:INIT b:INIT' " UP);
	assert_int_equal(g->now_us - begun, 4 * WIRE_US);
	rig_check(g);
	assert_ptr_equal(g->a.sa, sa);
	assert_true(ike_sa_is_initiator(sa));
	assert_false(ike_sa_is_initiator(g->b.sa));
	/* What only the setup needed is gone, and so are answers after their time. */
	assert_null(g->a.sa->half);
	assert_null(g->b.sa->half);
	assert_int_equal(g->b.e->half_open, 0);
	rig_run(g, 61 * SEC);
	assert_int_equal(g->b.sa->answer.count, 0);
	assert_int_equal(g->a.sa->request.count, 0);
	assert_true(ike_sa_first(g->b.e) == g->b.sa && !ike_sa_next(g->b.sa));

	uint8_t mine[32], theirs[32];
	assert_int_equal(ike_sa_derive(g->a.sa, "a label", mine, sizeof(mine)), 0);
	assert_int_equal(ike_sa_derive(g->b.sa, "a label", theirs, sizeof(theirs)), 0);
	assert_memory_equal(mine, theirs, sizeof(mine));
	assert_int_equal(ike_sa_derive(g->b.sa, "other", theirs, sizeof(theirs)), 0);
	assert_memory_not_equal(mine, theirs, sizeof(mine));
	rig_free(g);
}

/* RFC 7296 2.14 written out by hand, against what both sides of an IKE SA derive. */
static void test_keys(void **state)
{
	(void)state;
	static const uint8_t ni[16] = "0123456789abcdef", nr[32] = "nonce of the responder",
			     ir[32] = {1};
	struct ike_sa i = {.initiator = true, .spi_i = {1, 2}, .spi_r = {3, 4}};
	struct ike_sk sk_i, sk_r;
	struct suite_list list;
	struct suite_transform t[SUITE_TRANSFORMS_MAX];
	rig_suites(SUITE_IKE, "aes256-sha384-x25519", &list);
	size_t n = suite_transforms(SUITE_IKE, &list.at[0], true, t);
	assert_true(suite_choose(SUITE_IKE, &list.at[0], t, n, true, NULL, &i.suite));
	struct ike_sa r = i;
	r.initiator = false;
	assert_int_equal(keys_derive(&i, NULL, ir, 32, ni, 16, nr, 32, &sk_i), 0);
	assert_int_equal(keys_derive(&r, NULL, ir, 32, ni, 16, nr, 32, &sk_r), 0);

	const struct prf *prf = prf_by_name("prfsha384");
	uint8_t key[48], seed[64], out[PRF_LEN_MAX], all[7 * 48] = {0}, block[PRF_LEN_MAX];
	memcpy(key, ni, 16);
	memcpy(key + 16, nr, 32);
	memcpy(seed, key, 48);
	memcpy(seed + 48, i.spi_i, 8);
	memcpy(seed + 56, i.spi_r, 8);
	struct chunk c = {ir, 32};
	assert_int_equal(prf_compute(prf, key, 48, &c, 1, out), 0);
	for (uint8_t k = 1; k <= 7; k++) {
		struct chunk parts[] = {{block, k > 1 ? 48u : 0u}, {seed, 64}, {&k, 1}};
		assert_int_equal(prf_compute(prf, out, 48, parts, 3, block), 0);
		memcpy(all + 48 * (k - 1), block, 48);
	}
	/* SK_d 48 | ai 48 | ar 48 | ei 32 | er 32 | pi 48 | pr 48 */
	assert_memory_equal(i.sk_d, all, 48);
	assert_memory_equal(i.seal_out.integ_key, all + 48, 48);
	assert_memory_equal(i.seal_in.integ_key, all + 96, 48);
	assert_memory_equal(i.seal_out.encr_key, all + 144, 32);
	assert_memory_equal(i.seal_in.encr_key, all + 176, 32);
	assert_memory_equal(sk_i.pi, all + 208, 48);
	assert_memory_equal(sk_i.pr, all + 256, 48);
	assert_memory_equal(r.seal_in.encr_key, all + 144, 32);
	assert_memory_equal(r.seal_out.integ_key, all + 96, 48);
	assert_memory_equal(&sk_i, &sk_r, 48);
}

/* --- cookies and groups */

static void test_cookie(void **state)
{
	(void)state;
	struct rig *g = rig_new();
	g->b.cfg.half_open_cookie = 0;
	rig_start(g);
	rig_initiate(g);
	rig_settle(g);
	rig_ladder_is(g, "a:INIT b:INIT' a:INIT b:INIT' " UP);
	rig_check(g);
	assert_int_equal(ike_counters(g->b.e)->cookies_asked, 1);
	assert_int_equal(ike_counters(g->b.e)->cookies_good, 1);
	rig_free(g);
}

struct copy {
	uint8_t bytes[2048];
	size_t len;
	struct ike_path path;
	unsigned seen, which;
};

/* Keeps the which-th datagram of a. */
static bool keep_one(struct rig *g, struct rig_datagram *d)
{
	struct copy *c = g->hook_ctx;
	if (d->from_a && ++c->seen == c->which) {
		assert_true(d->len <= sizeof(c->bytes));
		memcpy(c->bytes, d->bytes, d->len);
		c->len = d->len;
		c->path = (struct ike_path){.local = d->dst, .remote = d->src};
	}
	return true;
}

static void give(struct rig *g, const struct copy *c)
{
	uint8_t *msg = mem_zalloc(c->len);
	memcpy(msg, c->bytes, c->len);
	ike_datagram(g->b.e, &c->path, msg, c->len, g->now_us);
	free(msg);
}

static void test_cookie_grows_old(void **state)
{
	(void)state;
	struct rig *g = rig_new();
	struct copy c = {.which = 2};
	g->b.cfg.half_open_cookie = 0;
	g->hook = keep_one;
	g->hook_ctx = &c;
	rig_start(g);
	rig_initiate(g);
	rig_settle(g);
	assert_true(c.len > 0);
	const struct ike_counters *n = ike_counters(g->b.e);
	assert_int_equal(n->cookies_good, 1);

	/* Good for one change of the secret, not for two; and only for its address and port. */
	rig_run(g, 70 * SEC);
	give(g, &c);
	assert_int_equal(n->cookies_good, 2);
	struct copy elsewhere = c;
	elsewhere.path.remote.port++;
	give(g, &elsewhere);
	elsewhere.path.remote = (struct endpoint){ip("192.0.2.77"), 500};
	give(g, &elsewhere);
	assert_int_equal(n->cookies_good, 2);
	rig_run(g, 70 * SEC);
	give(g, &c);
	assert_int_equal(n->cookies_good, 2);
	rig_clear_wire(g);
	rig_free(g);
}

static void test_other_group(void **state)
{
	(void)state;
	for (unsigned cookies = 0; cookies < 2; cookies++) {
		struct rig *g = rig_new();
		rig_suites(SUITE_IKE, "aes128gcm16-prfsha256-modp2048-ecp256-x25519",
			   &g->a.peer.ike);
		rig_suites(SUITE_IKE, "aes128gcm16-prfsha256-x25519-ecp256", &g->b.peer.ike);
		if (cookies)
			g->b.cfg.half_open_cookie = 0;
		rig_start(g);
		rig_initiate(g);
		rig_settle(g);
		if (cookies)
			rig_ladder_is(g, "a:INIT b:INIT' a:INIT b:INIT' a:INIT b:INIT' " UP);
		else
			rig_ladder_is(g, "a:INIT b:INIT' a:INIT b:INIT' " UP);
		rig_check(g);
		assert_string_equal(ike_sa_suite(g->a.sa)->group->name, "x25519");
		rig_free(g);
	}
}

/* A responder that allows the group which came does not ask for its dearest. */
static void test_group_that_came_is_taken(void **state)
{
	(void)state;
	struct rig *g = rig_new();
	rig_suites(SUITE_IKE, "aes128gcm16-prfsha256-ecp256-x25519", &g->a.peer.ike);
	rig_suites(SUITE_IKE, "aes128gcm16-prfsha256-x25519-ecp256", &g->b.peer.ike);
	rig_up(g);
	assert_string_equal(ike_sa_suite(g->b.sa)->group->name, "ecp256");
	rig_free(g);
}

/* --- proposals */

static void test_suites(void **state)
{
	(void)state;
	static const char *const suites[] = {
	    "aes128gcm16-prfsha256-x25519",
	    "aes256gcm16-prfsha384-ecp384",
	    "chacha20poly1305-prfsha512-ecp521",
	    "aes128-sha256-modp2048",
	    "aes256-sha384-ecp256",
	    "aes256-sha512-modp3072",
	    "aes192-sha256-x25519",
	    "aes256gcm16-prfsha256-modp4096",
	};
	for (unsigned i = 0; i < ARRAY_LEN(suites); i++) {
		struct rig *g = rig_new();
		char text[SUITE_TEXT_MAX];
		rig_suites(SUITE_IKE, suites[i], &g->a.peer.ike);
		suite_defaults(SUITE_IKE, &g->b.peer.ike);
		rig_suites(SUITE_IKE, suites[i], &g->b.peer.ike);
		rig_up(g);
		assert_string_equal(
		    suite_format(SUITE_IKE, ike_sa_suite(g->a.sa), text),
		    suite_format(SUITE_IKE, ike_sa_suite(g->b.sa), (char[SUITE_TEXT_MAX]){""}));
		rig_free(g);
	}
}

static void test_second_proposal(void **state)
{
	(void)state;
	struct rig *g = rig_new();
	rig_suites(SUITE_IKE,
		   "chacha20poly1305-prfsha256-x25519 aes256-sha384-x25519 "
		   "aes128gcm16-prfsha512-x25519",
		   &g->a.peer.ike);
	rig_suites(SUITE_IKE, "aes128gcm16-prfsha256-x25519 aes256-sha384-x25519", &g->b.peer.ike);
	rig_up(g);
	assert_string_equal(ike_sa_suite(g->a.sa)->encr->name, "aes256-cbc");
	assert_string_equal(ike_sa_suite(g->a.sa)->prf->name, "prfsha384");
	rig_free(g);
}

static void test_no_proposal_chosen(void **state)
{
	(void)state;
	struct rig *g = rig_new();
	rig_suites(SUITE_IKE, "aes256gcm16-prfsha384-ecp384", &g->a.peer.ike);
	rig_start(g);
	rig_initiate(g);
	rig_settle(g);
	/* In the clear, so it is not believed at once. */
	assert_int_equal(g->a.downs, 0);
	rig_run(g, 3 * SEC);
	assert_int_equal(g->a.downs, 1);
	assert_int_equal(g->a.down_notify, IKE_N_NO_PROPOSAL_CHOSEN);
	assert_int_equal(ike_count(g->b.e, IKE_SA_CONNECTING), 0);
	assert_non_null(strstr(g->lines, "notify=NO_PROPOSAL_CHOSEN"));
	rig_free(g);
}

/* A terminal has no proposals for those who begin: refused, and nothing is kept of it. */
static void test_answers_nobody(void **state)
{
	(void)state;
	struct rig *g = rig_new();
	g->b.ops.proposals = NULL;
	g->b.ops.find_peer = NULL;
	rig_start(g);
	rig_initiate(g);
	rig_run(g, 3 * SEC);
	assert_int_equal(g->a.downs, 1);
	assert_int_equal(g->a.down_notify, IKE_N_NO_PROPOSAL_CHOSEN);
	assert_int_equal(ike_count(g->b.e, IKE_SA_CONNECTING), 0);
	rig_free(g);
}

/* --- who is in the middle */

/* Before b's first answer arrives, an error that nobody sent. */
static bool forge_error(struct rig *g, struct rig_datagram *d)
{
	uint16_t notify = *(uint16_t *)g->hook_ctx;
	if (d->from_a || !notify)
		return true;
	*(uint16_t *)g->hook_ctx = 0;
	uint8_t msg[256];
	struct ike_header h;
	assert_true(ike_read_header(d->bytes, d->len, &h));
	memset(h.spi_r, 0, sizeof(h.spi_r));
	struct ike_builder b = ike_builder_of(msg, sizeof(msg), &h);
	ike_put_notify(&b, notify, NULL, 0);
	size_t len = ike_builder_finish(&b);
	struct ike_path path = {.local = d->src, .remote = d->dst};
	struct rig_datagram *forged = rig_datagram_of(g, false, &path, msg, len);
	forged->at_us -= WIRE_US / 2;
	rig_put(g, forged);
	return true;
}

static void test_forged_errors_change_nothing(void **state)
{
	(void)state;
	static const uint16_t errors[] = {
	    IKE_N_NO_PROPOSAL_CHOSEN, IKE_N_INVALID_SYNTAX, IKE_N_INVALID_MAJOR_VERSION,
	    IKE_N_INVALID_KE_PAYLOAD, IKE_N_COOKIE,	    IKE_N_AUTHENTICATION_FAILED};
	for (unsigned i = 0; i < ARRAY_LEN(errors); i++) {
		struct rig *g = rig_new();
		uint16_t notify = errors[i];
		g->hook = forge_error;
		g->hook_ctx = &notify;
		rig_start(g);
		rig_initiate(g);
		rig_run(g, 10 * SEC);
		assert_int_equal(notify, 0);
		assert_int_equal(g->a.downs, 0);
		assert_int_equal(g->a.ups, 1);
		rig_check(g);
		rig_free(g);
	}
}

/* Takes the best out of an offer: the first cipher's key length 256 becomes 128. */
static bool weaken(struct rig *g, struct rig_datagram *d)
{
	static const uint8_t gcm256[] = {0x80, 0x0e, 0x01, 0x00};
	bool *done = g->hook_ctx;
	for (size_t i = 0; !*done && i + sizeof(gcm256) < d->len; i++) {
		if (memcmp(d->bytes + i, gcm256, sizeof(gcm256)) == 0) {
			d->bytes[i + 2] = 0x00;
			d->bytes[i + 3] = 0x80;
			*done = true;
		}
	}
	return true;
}

static void test_downgrade_is_found(void **state)
{
	(void)state;
	struct rig *g = rig_new();
	bool done = false;
	rig_suites(SUITE_IKE, "aes256gcm16-aes128gcm16-prfsha256-x25519", &g->a.peer.ike);
	rig_suites(SUITE_IKE, "aes256gcm16-aes128gcm16-prfsha256-x25519", &g->b.peer.ike);
	g->hook = weaken;
	g->hook_ctx = &done;
	rig_start(g);
	rig_initiate(g);
	rig_run(g, 5 * SEC);
	assert_true(done);
	assert_int_equal(g->a.ups + g->b.ups, 0);
	assert_int_equal(g->a.downs, 1);
	assert_int_equal(g->a.down_notify, IKE_N_AUTHENTICATION_FAILED);
	assert_int_equal(ike_counters(g->b.e)->auth_failed, 1);
	rig_free(g);
}

/* An answer that chooses what was not offered (the transform of AES-GCM with 256 bits). */
static bool choose_other(struct rig *g, struct rig_datagram *d)
{
	static const uint8_t gcm128[] = {0x80, 0x0e, 0x00, 0x80};
	(void)g;
	for (size_t i = 0; !d->from_a && d->bytes[18] == IKE_SA_INIT && i + 4 < d->len; i++) {
		if (memcmp(d->bytes + i, gcm128, sizeof(gcm128)) == 0) {
			d->bytes[i + 2] = 0x01;
			d->bytes[i + 3] = 0x00;
			break;
		}
	}
	return true;
}

static void test_choice_must_be_offered(void **state)
{
	(void)state;
	struct rig *g = rig_new();
	g->hook = choose_other;
	rig_start(g);
	rig_initiate(g);
	rig_run(g, 10 * SEC);
	assert_int_equal(g->a.ups, 0);
	assert_int_equal(g->a.downs, 1);
	assert_null(strstr(g->ladder, "AUTH"));
	rig_free(g);
}

static void test_other_version(void **state)
{
	(void)state;
	struct rig *g = rig_new();
	struct copy c = {.which = 1};
	g->hook = keep_one;
	g->hook_ctx = &c;
	rig_up(g);
	const struct ike_counters *n = ike_counters(g->b.e);
	uint64_t sent = n->sent;
	c.bytes[17] = 0x30;
	give(g, &c);
	assert_int_equal(n->sent, sent + 1);
	assert_non_null(g->wire);
	struct ike_header h;
	struct ike_payloads p;
	struct ike_notify notify;
	assert_true(ike_read_header(g->wire->bytes, g->wire->len, &h));
	assert_int_equal(h.version, IKE_VERSION);
	assert_int_equal(h.flags, IKE_FLAG_RESPONSE);
	assert_int_equal(ike_read_payloads(h.next, g->wire->bytes + 28, g->wire->len - 28, &p),
			 IKE_OK);
	assert_true(ike_find_notify(&p, IKE_N_INVALID_MAJOR_VERSION, &notify));
	rig_clear_wire(g);
	/* IKEv1 gets no answer; nor does a message to an IKE SA with another version. */
	c.bytes[17] = 0x10;
	give(g, &c);
	memcpy(c.bytes + 8, g->b.sa->spi_r, 8);
	c.bytes[17] = 0x30;
	give(g, &c);
	assert_int_equal(n->sent, sent + 1);
	/* Another minor version is as good. */
	memset(c.bytes + 8, 0, 8);
	c.bytes[17] = 0x21;
	give(g, &c);
	assert_int_equal(n->sent, sent + 2);
	rig_clear_wire(g);
	rig_free(g);
}

/* --- strangers' bytes */

static void test_truncated_at_every_length(void **state)
{
	(void)state;
	struct rig *g = rig_new();
	struct copy c = {.which = 1};
	g->hook = keep_one;
	g->hook_ctx = &c;
	rig_up(g);
	g->hook = NULL;
	uint64_t sent = ike_counters(g->b.e)->sent;
	for (unsigned claims = 0; claims < 2; claims++) {
		for (size_t len = 0; len < c.len; len++) {
			struct copy part = c;
			part.len = len;
			/* Once with a length field that agrees, once with the old one. */
			if (claims && len >= IKE_HEADER_LEN) {
				part.bytes[26] = (uint8_t)(len >> 8);
				part.bytes[27] = (uint8_t)len;
			}
			give(g, &part);
		}
	}
	assert_int_equal(ike_counters(g->b.e)->sent, sent);
	assert_int_equal(ike_count(g->b.e, IKE_SA_CONNECTING), 0);
	assert_true(ike_counters(g->b.e)->malformed >= 2 * c.len - IKE_HEADER_LEN);
	rig_free(g);
}

static void test_critical_payload(void **state)
{
	(void)state;
	struct rig *g = rig_new();
	struct copy c = {.which = 1};
	g->hook = keep_one;
	g->hook_ctx = &c;
	rig_up(g);
	/* An unknown payload in front: {next, C, length 4}. */
	memmove(c.bytes + 32, c.bytes + 28, c.len - 28);
	c.bytes[28] = c.bytes[16];
	c.bytes[29] = 0x80;
	c.bytes[30] = 0;
	c.bytes[31] = 4;
	c.bytes[16] = 200;
	c.len += 4;
	c.bytes[26] = (uint8_t)(c.len >> 8);
	c.bytes[27] = (uint8_t)c.len;
	give(g, &c);
	struct ike_header h;
	struct ike_payloads p;
	struct ike_notify n;
	assert_non_null(g->wire);
	assert_true(ike_read_header(g->wire->bytes, g->wire->len, &h));
	assert_int_equal(ike_read_payloads(h.next, g->wire->bytes + 28, g->wire->len - 28, &p),
			 IKE_OK);
	assert_true(ike_find_notify(&p, IKE_N_UNSUPPORTED_CRITICAL_PAYLOAD, &n));
	assert_int_equal(n.len, 1);
	assert_int_equal(n.data[0], 200);
	rig_clear_wire(g);
	/* Not critical: passed over. */
	c.bytes[29] = 0;
	give(g, &c);
	assert_int_equal(ike_count(g->b.e, IKE_SA_CONNECTING), 1);
	rig_clear_wire(g);
	rig_free(g);
}

static void test_public_values_that_are_none(void **state)
{
	(void)state;
	struct rig *g = rig_new();
	struct copy c = {.which = 1};
	g->hook = keep_one;
	g->hook_ctx = &c;
	rig_up(g);
	/* The KE payload of x25519: {.., 0, 40, 0, 31, 0, 0, value}. */
	static const uint8_t ke[] = {0, 40, 0, 31, 0, 0};
	size_t at = 28;
	while (memcmp(c.bytes + at, ke, sizeof(ke)) != 0)
		at++;
	memset(c.bytes + at + sizeof(ke), 0, 32);
	uint64_t sent = ike_counters(g->b.e)->sent;
	give(g, &c);
	assert_int_equal(ike_counters(g->b.e)->sent, sent);
	assert_int_equal(ike_count(g->b.e, IKE_SA_CONNECTING), 0);
	rig_free(g);
}

/* --- repetition */

static void test_lost_answer(void **state)
{
	(void)state;
	struct rig *g = rig_new();
	g->lose_b = 2;
	rig_start(g);
	rig_initiate(g);
	rig_run(g, 700 * MS);
	assert_int_equal(ike_count(g->b.e, IKE_SA_CONNECTING), 1);
	rig_run(g, 5 * SEC);
	rig_ladder_is(g, "a:INIT b:INIT'! a:INIT b:INIT'! a:INIT b:INIT' " UP);
	assert_int_equal(ike_counters(g->b.e)->answered_again, 2);
	rig_check(g);
	rig_free(g);
}

static void test_nobody_answers(void **state)
{
	(void)state;
	struct rig *g = rig_new();
	g->lose_a = 1000;
	rig_start(g);
	usec_t begun = g->now_us;
	rig_initiate(g);
	rig_run(g, 30 * SEC);
	assert_int_equal(g->a.downs, 0);
	rig_run(g, 30 * SEC);
	assert_int_equal(g->a.downs, 1);
	assert_int_equal(g->a.down_notify, 0);
	assert_int_equal(ike_counters(g->a.e)->dead_peers, 1);
	assert_int_equal(ike_counters(g->a.e)->sent, 8);
	assert_int_equal(ike_tick(g->a.e, g->now_us), USEC_NEVER);
	assert_true(g->now_us > begun);
	rig_free(g);
}

static void test_half_open_ends(void **state)
{
	(void)state;
	struct rig *g = rig_new();
	g->lose_b = 1000;
	g->a.cfg.retransmits = 0;
	rig_start(g);
	rig_initiate(g);
	rig_run(g, 20 * SEC);
	assert_int_equal(ike_count(g->b.e, IKE_SA_CONNECTING), 1);
	assert_int_equal(g->b.e->half_open, 1);
	rig_run(g, 20 * SEC);
	assert_int_equal(ike_count(g->b.e, IKE_SA_CONNECTING), 0);
	assert_int_equal(g->b.e->half_open, 0);
	assert_int_equal(g->b.downs, 0); /* nobody had heard of it */
	rig_free(g);
}

/* --- NATs */

static void test_no_nat(void **state)
{
	(void)state;
	struct rig *g = rig_new();
	rig_up(g);
	assert_false(ike_sa_nat_here(g->a.sa) || ike_sa_nat_there(g->a.sa));
	assert_false(ike_sa_nat_here(g->b.sa) || ike_sa_nat_there(g->b.sa));
	assert_false(ike_sa_path(g->a.sa)->natt);
	assert_false(rig_last(&g->a)->udp);
	rig_free(g);
}

static void test_behind_nat(void **state)
{
	(void)state;
	struct rig *g = rig_new();
	g->nat = true;
	g->nat_port = 12345;
	rig_up(g);
	assert_true(ike_sa_nat_here(g->a.sa) && !ike_sa_nat_there(g->a.sa));
	assert_true(!ike_sa_nat_here(g->b.sa) && ike_sa_nat_there(g->b.sa));
	assert_true(ike_sa_path(g->a.sa)->natt && ike_sa_path(g->b.sa)->natt);
	assert_int_equal(ike_sa_path(g->a.sa)->remote.port, 4500);
	/* The responder answers to where IKE_AUTH came from. */
	assert_int_equal(ike_sa_path(g->b.sa)->remote.port, 4500 + 12345);
	assert_true(rig_last(&g->a)->udp && rig_last(&g->b)->udp);
	rig_free(g);
}

static void to_other_ports(void *ctx, struct ike_path *path)
{
	(void)ctx;
	assert_true(path->natt);
	assert_int_equal(path->remote.port, 4500);
	path->sock = 7;
}

static void test_floats(void **state)
{
	(void)state;
	/* MOBIKE goes to 4500 without a NAT; UDP by wish of either side, too, and both encapsulate.
	 */
	for (unsigned i = 0; i < 3; i++) {
		struct rig *g = rig_new();
		g->a.peer.mobike = g->b.peer.mobike = !i;
		g->a.peer.force_udp = i == 1;
		g->b.cfg.force_udp = i == 2;
		g->a.ops.float_path = to_other_ports;
		rig_up(g);
		assert_true(ike_sa_path(g->a.sa)->natt);
		assert_int_equal(ike_sa_path(g->a.sa)->sock, 7);
		assert_int_equal(ike_sa_path(g->b.sa)->remote.port, 4500);
		assert_int_equal(rig_last(&g->a)->udp, i > 0);
		assert_int_equal(rig_last(&g->b)->udp, i > 0);
		rig_free(g);
	}
}

/* --- the rest */

static bool no(void *ctx, struct ike_sa *sa)
{
	(void)ctx;
	assert_true(ike_sa_suite(sa)->encr != NULL);
	return false;
}

static void test_proceed(void **state)
{
	(void)state;
	struct rig *g = rig_new();
	g->a.ops.proceed = no;
	rig_start(g);
	rig_initiate(g);
	rig_run(g, 5 * SEC);
	rig_ladder_is(g, "a:INIT b:INIT'");
	assert_int_equal(g->a.downs, 1);
	assert_int_equal(g->a.e->sa_count, 0);
	rig_free(g);
}

static void test_wireshark_line(void **state)
{
	(void)state;
	struct rig *g = rig_new();
	rig_suites(SUITE_IKE, "aes256-sha384-x25519", &g->a.peer.ike);
	rig_suites(SUITE_IKE, "aes256-sha384-x25519", &g->b.peer.ike);
	g->a.cfg.wireshark = true;
	rig_up(g);
	assert_string_equal(g->b.keys, ""); /* off by default */
	char text[sizeof(g->a.keys)] = "";
	size_t n = 0;
	const struct ike_sa *sa = g->a.sa;
	const struct {
		const uint8_t *data;
		size_t len;
		const char *after;
	} parts[] = {{sa->spi_i, 8, ","},
		     {sa->spi_r, 8, ","},
		     {sa->seal_out.encr_key, 32, ","},
		     {sa->seal_in.encr_key, 32, ",\"AES-CBC-256 [RFC3602]\","},
		     {sa->seal_out.integ_key, 48, ","},
		     {sa->seal_in.integ_key, 48, ",\"HMAC_SHA2_384_192 [RFC4868]\""}};
	for (unsigned i = 0; i < ARRAY_LEN(parts); i++) {
		for (size_t k = 0; k < parts[i].len; k++)
			n += (size_t)sprintf(text + n, "%02x", parts[i].data[k]);
		n += (size_t)sprintf(text + n, "%s", parts[i].after);
	}
	assert_string_equal(g->a.keys, text);
	rig_free(g);
}

static void test_no_room(void **state)
{
	(void)state;
	struct rig *g = rig_new();
	g->a.cfg.sas_max = 1;
	g->b.cfg.sas_max = 1;
	rig_up(g);
	struct ike_path path = rig_path(false);
	assert_null(ike_initiate(g->a.e, &g->a.peer, &path, NULL, NULL, g->now_us));
	assert_null(ike_initiate(g->b.e, &g->b.peer, &path, NULL, NULL, g->now_us));
	rig_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_two_round_trips),
	    cmocka_unit_test(test_keys),
	    cmocka_unit_test(test_cookie),
	    cmocka_unit_test(test_cookie_grows_old),
	    cmocka_unit_test(test_other_group),
	    cmocka_unit_test(test_group_that_came_is_taken),
	    cmocka_unit_test(test_suites),
	    cmocka_unit_test(test_second_proposal),
	    cmocka_unit_test(test_no_proposal_chosen),
	    cmocka_unit_test(test_answers_nobody),
	    cmocka_unit_test(test_forged_errors_change_nothing),
	    cmocka_unit_test(test_downgrade_is_found),
	    cmocka_unit_test(test_choice_must_be_offered),
	    cmocka_unit_test(test_other_version),
	    cmocka_unit_test(test_truncated_at_every_length),
	    cmocka_unit_test(test_critical_payload),
	    cmocka_unit_test(test_public_values_that_are_none),
	    cmocka_unit_test(test_lost_answer),
	    cmocka_unit_test(test_nobody_answers),
	    cmocka_unit_test(test_half_open_ends),
	    cmocka_unit_test(test_no_nat),
	    cmocka_unit_test(test_behind_nat),
	    cmocka_unit_test(test_floats),
	    cmocka_unit_test(test_proceed),
	    cmocka_unit_test(test_wireshark_line),
	    cmocka_unit_test(test_no_room),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
