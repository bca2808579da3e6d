/* SPDX-License-Identifier: MIT */
/*
 * EAP's rounds inside IKE_AUTH, with a method made for the test in the place of eap.c: the server
 * asks `rounds` times, the client says who it is, and both have a key in the end.  What is tested
 * is what IKE_AUTH does with it: the order of proofs, the key in AUTH, the first request answered
 * last.
 */
#include "ike_creds.h"

/* --- the method: | code 1 | id 1 | length 2 | user | */

struct eap {
	struct eap_config cfg;
	unsigned round;
	char user[64];
	bool done, good;
	const char *reason;
};

static struct {
	unsigned rounds;
	bool fails, other_key, no_key;
} method;

struct eap *eap_new(const struct eap_config *cfg)
{
	struct eap *e = mem_zalloc(sizeof(*e));
	e->cfg = *cfg;
	e->reason = "not over";
	return e;
}

void eap_free(struct eap *e)
{
	free(e);
}

static size_t packet(uint8_t *out, uint8_t code, uint8_t id, const char *text)
{
	struct writer w = writer_of(out, EAP_PACKET_MAX);
	writer_u8(&w, code);
	writer_u8(&w, id);
	writer_u16(&w, (uint16_t)(4 + strlen(text)));
	writer_bytes(&w, text, strlen(text));
	return writer_len(&w);
}

size_t eap_begin(struct eap *e, uint8_t out[EAP_PACKET_MAX])
{
	return packet(out, 1, (uint8_t)e->round, "who");
}

static enum eap_status server_input(struct eap *e, const uint8_t *in, size_t len, uint8_t *out,
				    size_t *out_len)
{
	bool ok = in[0] == 2 && in[1] == e->round;
	snprintf(e->user, sizeof(e->user), "%.*s", (int)(len - 4), (const char *)in + 4);
	if (ok && !e->cfg.password_of(e->cfg.ctx, e->user)) {
		e->reason = "unknown user";
		ok = false;
	}
	if (ok && ++e->round < method.rounds) {
		*out_len = packet(out, 1, (uint8_t)e->round, "again");
		return EAP_GOES_ON;
	}
	if (ok && method.fails) {
		e->reason = "wrong password";
		ok = false;
	}
	*out_len = packet(out, ok ? 3 : 4, (uint8_t)e->round, "");
	e->good = ok;
	return ok ? EAP_SUCCESS : EAP_FAILURE;
}

enum eap_status eap_input(struct eap *e, const uint8_t *in, size_t len, uint8_t out[EAP_PACKET_MAX],
			  size_t *out_len)
{
	*out_len = 0;
	assert_true(len >= 4);
	if (e->cfg.server)
		return server_input(e, in, len, out, out_len);
	switch (in[0]) {
	case 1:
		*out_len = packet(out, 2, in[1], e->cfg.identity);
		return EAP_GOES_ON;
	case 3:
		e->good = true;
		return EAP_SUCCESS;
	default:
		e->reason = "the server refused";
		return EAP_FAILURE;
	}
}

bool eap_msk(const struct eap *e, uint8_t out[EAP_MSK_LEN])
{
	memset(out, method.other_key && e->cfg.server ? 7 : 9, EAP_MSK_LEN);
	return e->good && !method.no_key;
}

const char *eap_identity(const struct eap *e)
{
	return e->user;
}

const char *eap_reason(const struct eap *e)
{
	return e->reason;
}

/* --- the rig: b is the server, with a certificate; users are known by name */

static struct creds creds;
static struct ike_peer user_peer;

static const struct ike_peer *find_eap(void *ctx, const struct ike_peer *generic, const char *user,
				       const char **password)
{
	struct rig_node *n = ctx;
	assert_ptr_equal(generic, &n->peer);
	if (strncmp(user, "user", 4) != 0)
		return NULL;
	*password = "secret";
	user_peer = *generic;
	user_peer.name = "the user";
	return &user_peer;
}

static struct rig *eap_rig(unsigned rounds, const char *user)
{
	memset(&method, 0, sizeof(method));
	method.rounds = rounds;
	struct rig *g = rig_with(&creds, IKE_BY_EAP, IKE_BY_CERT);
	g->a.peer.eap = g->b.peer.eap = EAP_MSCHAPV2;
	g->a.peer.eap_identity = user;
	g->a.peer.eap_password = "secret";
	g->b.ops.find_eap = find_eap;
	return g;
}

static void setup(struct rig *g)
{
	rig_start(g);
	rig_initiate(g);
	rig_run(g, 60 * SEC);
}

static void assert_up(struct rig *g)
{
	if (!g->a.sa || !g->b.sa || rig_up_count(&g->a) != 1)
		fail_msg("%s", g->lines);
	rig_check(g);
}

static void rounds(void **state)
{
	(void)state;
	for (unsigned n = 1; n < 6; n++) {
		struct rig *g = eap_rig(n, "user");
		setup(g);
		assert_up(g);
		/* IDi; n times EAP; AUTH */
		char expected[256] = "a:INIT b:INIT'";
		for (unsigned i = 0; i < n + 2; i++)
			strcat(expected, " a:AUTH b:AUTH'");
		rig_ladder_is(g, expected);
		assert_string_equal(ike_sa_eap_identity(g->b.sa), "user");
		assert_string_equal(ike_sa_eap_identity(g->a.sa), "");
		assert_ptr_equal(ike_sa_peer(g->b.sa), &user_peer);
		assert_null(g->b.sa->half);
		rig_free(g);
	}
}

static void with_addresses(void **state)
{
	(void)state;
	struct rig *g = eap_rig(2, "user");
	struct addr home = ip("10.9.0.7");
	g->a.peer.request_addresses = true;
	g->a.peer.mobike = g->b.peer.mobike = true;
	g->a.peer.child.local.count = g->b.peer.child.remote.count = 0;
	g->b.assign_reply.count = 1;
	g->b.assign_reply.at[0].attr = IKE_CP_IP4_ADDRESS;
	g->b.assign_reply.at[0].len = 4;
	memcpy(g->b.assign_reply.at[0].value, home.b, 4);
	setup(g);
	assert_up(g);
	/* What the first request asked for is in the last response. */
	assert_int_equal(g->a.assigned.count, 1);
	assert_true(addr_equal(&rig_last(&g->a)->local.at[0].from, &home));
	assert_true(ike_sa_has_mobike(g->a.sa) && ike_sa_has_mobike(g->b.sa));
	rig_free(g);
}

static void each_message_lost(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 12; i++) {
		struct rig *g = eap_rig(3, "user");
		g->rng += i;
		g->loss_percent = 25;
		g->double_percent = 20;
		rig_start(g);
		rig_initiate(g);
		rig_run(g, 29 * SEC);
		assert_up(g);
		rig_free(g);
	}
}

static void with_ppk(void **state)
{
	(void)state;
	for (int required = 0; required < 2; required++) {
		struct rig *g = eap_rig(2, "user");
		g->a.peer.ppk_id = g->b.peer.ppk_id = "one";
		g->a.peer.ppk = g->b.peer.ppk = (const uint8_t *)"post-quantum";
		g->a.peer.ppk_len = g->b.peer.ppk_len = 12;
		g->a.peer.ppk_required = g->b.peer.ppk_required = required;
		setup(g);
		assert_up(g);
		assert_non_null(strstr(g->lines, "with a PPK"));
		rig_free(g);
	}
}

/* --- failures */

struct fail_row {
	const char *what, *user;
	bool fails, other_key, no_key, b_other_name, b_proves_by_psk;
	const char *line;
};

static const struct fail_row fail_rows[] = {
    {.what = "nobody of that name",
     .user = "stranger",
     .line = "EAP of user \"stranger\" failed: unknown user"},
    {.what = "wrong password",
     .user = "user",
     .fails = true,
     .line = "EAP of user \"user\" failed: wrong password"},
    {.what = "the client says so too",
     .user = "user",
     .fails = true,
     .line = "the peer says that EAP failed: the server refused"},
    {.what = "two keys",
     .user = "user",
     .other_key = true,
     .line = "the proof by EAP's key does not fit"},
    {.what = "no key", .user = "user", .no_key = true, .line = "EAP made no key"},
    {.what = "the server is somebody else",
     .user = "user",
     .b_other_name = true,
     .line = "the peer is x.example.org, not who was expected"},
    {.what = "the server proves itself otherwise",
     .user = "user",
     .b_proves_by_psk = true,
     .line = "it proves itself by a shared key, a certificate is required"},
};

static void failures(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(fail_rows); i++) {
		const struct fail_row *r = &fail_rows[i];
		struct rig *g = eap_rig(2, r->user);
		method.fails = r->fails;
		method.other_key = r->other_key;
		method.no_key = r->no_key;
		if (r->b_other_name) {
			free((void *)(uintptr_t)g->b.peer.local_id);
			g->b.peer.local_id = rig_id("x.example.org");
		}
		if (r->b_proves_by_psk)
			g->b.peer.local_auth = IKE_BY_PSK;
		setup(g);
		if (g->a.ups || g->b.ups || !strstr(g->lines, r->line))
			fail_msg("%s: %s", r->what, g->lines);
		assert_int_equal(g->a.down_notify, IKE_N_AUTHENTICATION_FAILED);
		assert_int_equal(g->a.e->sa_count + g->b.e->sa_count, 0);
		/* The user's secret is only used towards a server that proved itself. */
		if (r->b_other_name || r->b_proves_by_psk) {
			rig_ladder_is(g, "a:INIT b:INIT' a:AUTH b:AUTH' a:INFO b:INFO'");
			assert_non_null(strstr(g->lines, "EAP of user \"\" failed: not over"));
		}
		rig_free(g);
	}
}

/* Two users behind one IDi are two; one user again is the same. */
static void initial_contact_counts_users(void **state)
{
	(void)state;
	struct rig *g = eap_rig(2, "user-1");
	setup(g);
	assert_up(g);
	static const struct {
		const char *user;
		size_t established;
	} rows[] = {{"user-2", 2}, {"user-1", 2}, {"user-3", 3}};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		ike_free(g->a.e);
		g->a.e = ike_new(&g->a.cfg, &g->a.ops, &g->log);
		g->a.peer.eap_identity = rows[i].user;
		rig_initiate(g);
		rig_settle(g);
		assert_int_equal(ike_count(g->b.e, IKE_SA_ESTABLISHED), rows[i].established);
	}
	rig_free(g);
}

/* An EAP conversation that ends in the middle leaves nothing. */
static void left_alone(void **state)
{
	(void)state;
	struct rig *g = eap_rig(4, "user");
	rig_start(g);
	rig_initiate(g);
	rig_run(g, 50 * MS);
	ike_free(g->a.e);
	g->a.e = ike_new(&g->a.cfg, &g->a.ops, &g->log);
	rig_run(g, 60 * SEC);
	assert_int_equal(g->b.e->sa_count, 0);
	assert_int_equal(g->b.ups, 0);
	rig_free(g);
}

static int begin(void **state)
{
	(void)state;
	creds = creds_new(PKI_P256, PKI_P256);
	return 0;
}

static int end(void **state)
{
	(void)state;
	creds_free(&creds);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rounds),
	    cmocka_unit_test(with_addresses),
	    cmocka_unit_test(each_message_lost),
	    cmocka_unit_test(with_ppk),
	    cmocka_unit_test(failures),
	    cmocka_unit_test(initial_contact_counts_users),
	    cmocka_unit_test(left_alone),
	};
	return cmocka_run_group_tests(tests, begin, end);
}
