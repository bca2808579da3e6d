/* SPDX-License-Identifier: MIT */
/*
 * IKE_AUTH: every way to prove oneself, in both directions, and every way that must fail, each with
 * its error notify and its line in the log; post-quantum keys; what is changed on the way is
 * noticed; what becomes of the first child and of the addresses.
 */
#include "ike_creds.h"

#define INIT_SETUP "a:INIT b:INIT' a:AUTH b:AUTH'"

static void setup(struct rig *g)
{
	rig_start(g);
	rig_initiate(g);
	rig_run(g, 60 * SEC);
}

static void assert_up(struct rig *g, const char *what)
{
	if (!g->a.sa || !g->b.sa || g->a.ups != 1 || g->b.ups != 1 || rig_up_count(&g->a) != 1)
		fail_msg("%s: %s", what, g->lines);
	rig_check(g);
}

static void assert_not_up(struct rig *g, const char *what, const char *line)
{
	if (g->a.sa || g->b.sa || g->a.ups)
		fail_msg("%s: came up: %s", what, g->lines);
	if (!strstr(g->lines, line))
		fail_msg("%s: no line \"%s\": %s", what, line, g->lines);
	assert_int_equal(rig_up_count(&g->a) + rig_up_count(&g->b), 0);
	assert_int_equal(g->a.e->sa_count + g->b.e->sa_count, 0);
}

/* --- what works */

static void psk(void **state)
{
	(void)state;
	struct rig *g = rig_new();
	setup(g);
	assert_up(g, "psk");
	rig_ladder_is(g, INIT_SETUP);
	assert_true(identity_equal(ike_sa_remote_id(g->a.sa), g->a.peer.remote_id));
	assert_true(identity_equal(ike_sa_remote_id(g->b.sa), g->b.peer.remote_id));
	assert_true(identity_equal(ike_sa_local_id(g->b.sa), g->b.peer.local_id));
	assert_ptr_equal(ike_sa_peer(g->b.sa), &g->b.peer);
	assert_null(g->a.sa->half);
	assert_null(g->b.sa->half);
	assert_int_equal(ike_counters(g->a.e)->auth_failed + ike_counters(g->b.e)->auth_failed, 0);
	rig_free(g);
}

struct cert_row {
	const char *what;
	enum pki_key a, b;
	bool pss, old_methods; /* the peers know RFC 7296's methods only */
};

static const struct cert_row cert_rows[] = {
    {"ECDSA P-256, P-384", PKI_P256, PKI_P384, false, false},
    {"ECDSA P-521, Ed25519", PKI_P521, PKI_ED25519, false, false},
    {"Ed25519, ECDSA P-256", PKI_ED25519, PKI_P256, false, false},
    {"RSA PKCS #1", PKI_RSA2048, PKI_RSA3072, false, false},
    {"RSA PSS", PKI_RSA3072, PKI_RSA2048, true, false},
    {"RSA keys for PSS only", PKI_RSA_PSS, PKI_P384, false, false},
    {"ECDSA by the older methods", PKI_P256, PKI_P521, false, true},
    {"ECDSA P-384 by the older method", PKI_P384, PKI_P256, false, true},
};

/* As if the other side had announced nothing (it must not be taken out of the message: AUTH would
 * notice). */
static bool forget_hashes_a(void *ctx, struct ike_sa *sa)
{
	(void)ctx;
	sa->hash_algorithms = 0;
	return true;
}

static const struct ike_peer *forget_hashes_b(void *ctx, const struct identity *idi,
					      const struct identity *idr, bool eap,
					      const struct ike_path *path)
{
	struct rig_node *n = ctx;
	ike_sa_first(n->e)->hash_algorithms = 0;
	return rig_on_find_peer(ctx, idi, idr, eap, path);
}

static void certificates(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cert_rows); i++) {
		const struct cert_row *r = &cert_rows[i];
		struct creds c = creds_new(r->a, r->b);
		struct rig *g = rig_with(&c, IKE_BY_CERT, IKE_BY_CERT);
		g->a.peer.rsa_pss = g->b.peer.rsa_pss = r->pss;
		if (r->old_methods) {
			g->a.ops.proceed = forget_hashes_a;
			g->b.ops.find_peer = forget_hashes_b;
		}
		setup(g);
		assert_up(g, r->what);
		rig_free(g);
		creds_free(&c);
	}
}

static void mixed_directions(void **state)
{
	(void)state;
	struct creds c = creds_new(PKI_P256, PKI_ED25519);
	for (int i = 0; i < 2; i++) {
		struct rig *g =
		    rig_with(&c, i ? IKE_BY_CERT : IKE_BY_PSK, i ? IKE_BY_PSK : IKE_BY_CERT);
		setup(g);
		assert_up(g, i ? "a by certificate" : "b by certificate");
		rig_free(g);
	}
	creds_free(&c);
}

static void by_names_of_certificates(void **state)
{
	(void)state;
	struct creds c = creds_new(PKI_P256, PKI_P256);
	struct rig *g = rig_with(&c, IKE_BY_CERT, IKE_BY_CERT);
	free((void *)(uintptr_t)g->a.peer.local_id);
	free((void *)(uintptr_t)g->b.peer.remote_id);
	g->a.peer.local_id = rig_id("O=Test, CN=a");
	g->b.peer.remote_id = rig_id("O=Test, CN=*");
	setup(g);
	assert_up(g, "by distinguished name");
	rig_free(g);
	creds_free(&c);
}

/* A certificate is sent when it was asked for, else only if configured. */
static size_t authorities(void *ctx, const struct ike_path *path, uint8_t *out, size_t room)
{
	const struct rig_node *n = ctx;
	(void)path;
	return cert_trust_hashes(n->peer.trust, out, room);
}

static void certificate_on_request(void **state)
{
	(void)state;
	struct creds c = creds_new(PKI_P256, PKI_P256);
	for (int asked = 0; asked < 2; asked++) {
		struct rig *g = rig_with(&c, IKE_BY_CERT, IKE_BY_PSK);
		g->a.peer.send_cert = false;
		if (asked)
			g->b.ops.authorities = authorities;
		setup(g);
		if (asked)
			assert_up(g, "asked");
		else
			assert_not_up(g, "not asked", "it sent no certificate");
		rig_free(g);
	}
	creds_free(&c);
}

static void large_certificates_in_fragments(void **state)
{
	(void)state;
	struct creds c = creds_new(PKI_RSA3072, PKI_RSA3072);
	struct rig *g = rig_with(&c, IKE_BY_CERT, IKE_BY_CERT);
	g->a.cfg.fragment_len = g->b.cfg.fragment_len = 500;
	g->jitter_us = 20 * MS;
	g->double_percent = 20;
	setup(g);
	assert_up(g, "fragments");
	assert_non_null(strstr(g->ladder, "a:AUTH* "));
	assert_non_null(strstr(g->ladder, "b:AUTH*' "));
	rig_free(g);
	creds_free(&c);
}

/* --- what must not work */

static const uint8_t other_psk[] = "another secret";

static void set_id(const struct identity **id, const char *text)
{
	free((void *)(uintptr_t)*id);
	*id = rig_id(text);
}

static void wrong_psk_b(struct rig *g)
{
	g->b.peer.psk = other_psk;
	g->b.peer.psk_len = sizeof(other_psk) - 1;
}

static void empty_psk_b(struct rig *g)
{
	g->b.peer.psk = NULL;
	g->b.peer.psk_len = 0;
}

static void empty_psk_a(struct rig *g)
{
	g->a.peer.psk_len = 0;
}

static void unknown_a(struct rig *g)
{
	set_id(&g->a.peer.local_id, "c.example.org");
}

static void unexpected_b(struct rig *g)
{
	set_id(&g->b.peer.local_id, "x.example.org");
}

static void b_wants_cert(struct rig *g)
{
	g->b.peer.remote_auth = IKE_BY_CERT;
}

static void b_wants_psk(struct rig *g)
{
	g->a.peer.local_auth = IKE_BY_CERT;
}

static void a_wants_cert(struct rig *g)
{
	g->a.peer.remote_auth = IKE_BY_CERT;
}

static void a_wants_psk(struct rig *g)
{
	g->b.peer.local_auth = IKE_BY_CERT;
}

static void a_wants_eap(struct rig *g)
{
	g->a.peer.local_auth = IKE_BY_EAP;
}

static void b_wants_eap(struct rig *g)
{
	g->b.peer.remote_auth = IKE_BY_EAP;
}

static void eap_without_method(struct rig *g)
{
	g->a.peer.local_auth = IKE_BY_EAP;
	g->b.peer.remote_auth = IKE_BY_EAP;
}

struct fail_row {
	const char *what;
	void (*change)(struct rig *g);
	bool a_judges; /* it is the initiator that does not believe */
	const char *line;
};

static const struct fail_row fail_rows[] = {
    {"keys differ", wrong_psk_b, false, "the pre-shared keys differ"},
    {"b has no key", empty_psk_b, false, "no pre-shared key is configured"},
    {"a has no key", empty_psk_a, true, "our own proof cannot be made"},
    {"b knows nobody of that name", unknown_a, false, "nobody is configured as c.example.org"},
    {"b is somebody else", unexpected_b, true, "the peer is x.example.org, not who was expected"},
    {"key where a certificate is required", b_wants_cert, false,
     "it proves itself by a shared key, a certificate is required"},
    {"certificate where a key is required", b_wants_psk, false,
     "it proves itself by method 14, a shared key is configured"},
    {"the same of b", a_wants_cert, true,
     "it proves itself by a shared key, a certificate is required"},
    {"the same of b", a_wants_psk, true,
     "it proves itself by method 14, a shared key is configured"},
    {"EAP that nobody configured", a_wants_eap, false, "nobody is configured as a.example.org"},
    {"no EAP where it is required", b_wants_eap, false, "nobody is configured as a.example.org"},
    {"EAP without a method", eap_without_method, false, "no EAP method is configured"},
};

static void failures(void **state)
{
	(void)state;
	struct creds c = creds_new(PKI_P256, PKI_P256);
	for (size_t i = 0; i < ARRAY_LEN(fail_rows); i++) {
		const struct fail_row *r = &fail_rows[i];
		struct rig *g = rig_with(&c, IKE_BY_PSK, IKE_BY_PSK);
		r->change(g);
		setup(g);
		assert_not_up(g, r->what, r->line);
		assert_int_equal(g->a.down_notify, IKE_N_AUTHENTICATION_FAILED);
		assert_int_equal(g->a.downs, 1);
		assert_int_equal(g->b.ups, r->a_judges && g->b.downs ? 1 : 0);
		if (!r->a_judges)
			rig_ladder_is(g, INIT_SETUP);
		rig_free(g);
	}
	creds_free(&c);
}

/* Certificates that b must not believe (and a of b's, in the other direction). */
enum bad_cert { EXPIRED, NOT_YET, OTHER_NAME, OTHER_CA, REVOKED, NO_CRL };

static const struct {
	const char *what, *line;
	enum bad_cert bad;
} bad_rows[] = {
    {"expired", "expired", EXPIRED},
    {"not valid yet", "is not valid before", NOT_YET},
    {"another name", "its certificate is not for the identity a.example.org", OTHER_NAME},
    {"another authority", "certificate O=Test, CN=a", OTHER_CA},
    {"revoked", "revoked", REVOKED},
    {"no list of revocations where one is required", "CRL", NO_CRL},
};

static struct pki bad_leaf(const struct creds *c, const struct pki *other_ca, enum bad_cert bad)
{
	struct pki_spec s = {.subject = "O=Test, CN=a",
			     .san = bad == OTHER_NAME ? "DNS:c.example.org" : "DNS:a.example.org",
			     .key_usage = "critical,digitalSignature"};
	if (bad == EXPIRED) {
		s.not_before_s = -10 * PKI_DAY_S;
		s.not_after_s = -PKI_DAY_S;
	} else if (bad == NOT_YET) {
		s.not_before_s = PKI_DAY_S;
		s.not_after_s = 10 * PKI_DAY_S;
	}
	return pki_make(&s, bad == OTHER_CA ? other_ca : &c->ca);
}

static void revoke(struct creds *c, const struct pki *leaf)
{
	struct err err = {{0}};
	struct pki_crl_spec s = {.revoked = {leaf->cert}};
	struct pki_text crl = pki_crl_pem(&c->ca, &s);
	if (cert_trust_add_crl(c->trust_b, crl.data, crl.len, &err))
		fail_msg("%s", err.text);
	pki_text_free(&crl);
}

static void bad_certificates(void **state)
{
	(void)state;
	struct pki other_ca = pki_ca("O=Other, CN=CA");
	for (size_t i = 0; i < ARRAY_LEN(bad_rows); i++) {
		struct creds c = creds_new(PKI_P256, PKI_P256);
		struct pki leaf = bad_leaf(&c, &other_ca, bad_rows[i].bad);
		struct cert_own *own = own_of(&leaf);
		struct rig *g = rig_with(&c, IKE_BY_CERT, IKE_BY_CERT);
		g->a.peer.own = own;
		if (bad_rows[i].bad == REVOKED)
			revoke(&c, &leaf);
		if (bad_rows[i].bad == NO_CRL)
			cert_trust_require_crl(c.trust_b, true);
		setup(g);
		assert_not_up(g, bad_rows[i].what, bad_rows[i].line);
		assert_int_equal(g->a.down_notify, IKE_N_AUTHENTICATION_FAILED);
		assert_int_equal(g->b.ups, 0);
		rig_free(g);
		cert_own_free(own);
		pki_free(&leaf);
		creds_free(&c);
	}
	pki_free(&other_ca);
}

/* The initiator tells a responder that it does not believe: nothing of it stays. */
static void responder_is_told(void **state)
{
	(void)state;
	struct rig *g = rig_new();
	unexpected_b(g);
	setup(g);
	rig_ladder_is(g, INIT_SETUP " a:INFO b:INFO'");
	assert_int_equal(g->b.ups, 1);
	assert_int_equal(g->b.downs, 1);
	assert_int_equal(g->b.down_notify, IKE_N_AUTHENTICATION_FAILED);
	assert_int_equal(ike_counters(g->a.e)->auth_failed, 1);
	rig_free(g);
}

/* --- changed on the way */

struct flip {
	size_t at;
	bool from_a;
	unsigned done;
};

static bool flip_init(struct rig *g, struct rig_datagram *d)
{
	struct flip *f = g->hook_ctx;
	if (d->from_a == f->from_a && d->bytes[18] == IKE_SA_INIT && f->at < d->len) {
		d->bytes[f->at] ^= 0x10;
		f->done++;
	}
	return true;
}

/* Any octet of either message of IKE_SA_INIT: neither side takes the other for authenticated, in
 * the end. */
static void every_octet_of_init_counts(void **state)
{
	(void)state;
	for (int from_a = 0; from_a < 2; from_a++) {
		bool more = true;
		for (size_t at = 0; more; at++) {
			struct rig *g = rig_new();
			struct flip f = {.at = at, .from_a = from_a};
			g->hook = flip_init;
			g->hook_ctx = &f;
			rig_start(g);
			rig_initiate(g);
			rig_run(g, 60 * SEC);
			more = f.done > 0;
			if (more && (g->a.ups || g->b.sa || (from_a && g->b.ups)))
				fail_msg("octet %zu of %c's was not noticed", at,
					 from_a ? 'a' : 'b');
			if (!more)
				assert_int_equal(g->a.ups, 1);
			rig_free(g);
		}
	}
}

/* --- post-quantum pre-shared keys (RFC 8784) */

struct ppk_row {
	const char *what, *id_a, *key_a, *id_b, *key_b;
	bool required_a, required_b, works, used;
	const char *line;
};

static const struct ppk_row ppk_rows[] = {
    {"both", "one", "secret", "one", "secret", false, false, true, true, ""},
    {"both, required", "one", "secret", "one", "secret", true, true, true, true, ""},
    {"only a", "one", "secret", NULL, NULL, false, false, true, false, ""},
    {"only b", NULL, NULL, "one", "secret", false, false, true, false, ""},
    {"different ones", "one", "secret", "two", "secret", false, false, true, false, ""},
    {"only a, required", "one", "secret", NULL, NULL, true, false, false, false,
     "it requires a PPK that we do not have"},
    {"only b, required", NULL, NULL, "one", "secret", false, true, false, false,
     "a PPK is required of it"},
    {"different ones, a requires", "one", "secret", "two", "secret", true, false, false, false,
     "it requires a PPK that we do not have"},
    {"different ones, b requires", "one", "secret", "two", "secret", false, true, false, false,
     "it named another PPK than ours"},
    {"one name, two keys", "one", "secret", "one", "other", false, false, false, false,
     "the pre-shared keys differ"},
};

static void set_ppk(struct ike_peer *p, const char *id, const char *key, bool required)
{
	p->ppk_id = id;
	p->ppk = (const uint8_t *)key;
	p->ppk_len = key ? strlen(key) : 0;
	p->ppk_required = required;
}

static void ppk(void **state)
{
	(void)state;
	struct creds c = creds_new(PKI_P256, PKI_P256);
	for (size_t i = 0; i < 2 * ARRAY_LEN(ppk_rows); i++) {
		const struct ppk_row *r = &ppk_rows[i / 2];
		bool certs = i & 1;
		enum ike_auth by = certs ? IKE_BY_CERT : IKE_BY_PSK;
		struct rig *g = rig_with(&c, by, by);
		set_ppk(&g->a.peer, r->id_a, r->key_a, r->required_a);
		set_ppk(&g->b.peer, r->id_b, r->key_b, r->required_b);
		setup(g);
		if (!r->works) {
			/* With a certificate the same mistake is a signature that does not fit. */
			bool key = strcmp(r->line, "the pre-shared keys differ") == 0;
			assert_not_up(g, r->what, certs && key ? "signature" : r->line);
			rig_free(g);
			continue;
		}
		assert_up(g, r->what);
		assert_int_equal(strstr(g->lines, "with a PPK") != NULL, r->used);
		uint8_t a[32], b[32];
		assert_int_equal(ike_sa_derive(g->a.sa, "x", a, 32), 0);
		assert_int_equal(ike_sa_derive(g->b.sa, "x", b, 32), 0);
		assert_memory_equal(a, b, 32);
		/* And it goes on into what is made of SK_d. */
		ike_child_rekey(g->a.e, rig_last(&g->a)->child, g->now_us);
		ike_sa_rekey(g->b.e, g->b.sa, g->now_us);
		rig_run(g, 20 * SEC);
		rig_check(g);
		rig_free(g);
	}
	creds_free(&c);
}

/* Nobody can take USE_PPK out: the notify's type is flipped in b's response. */
static bool hide_ppk(struct rig *g, struct rig_datagram *d)
{
	(void)g;
	for (size_t i = IKE_HEADER_LEN; !d->from_a && i + 1 < d->len; i++)
		if (d->bytes[18] == IKE_SA_INIT && d->bytes[i] == IKE_N_USE_PPK >> 8 &&
		    d->bytes[i + 1] == (IKE_N_USE_PPK & 0xff))
			d->bytes[i + 1] = 0xff;
	return true;
}

static void ppk_cannot_be_hidden(void **state)
{
	(void)state;
	for (int required = 0; required < 2; required++) {
		struct rig *g = rig_new();
		set_ppk(&g->a.peer, "one", "secret", required);
		set_ppk(&g->b.peer, "one", "secret", false);
		g->hook = hide_ppk;
		setup(g);
		assert_null(g->a.sa);
		assert_null(g->b.sa);
		assert_int_equal(g->a.ups, 0);
		assert_int_equal(g->a.down_notify, IKE_N_AUTHENTICATION_FAILED);
		if (required) /* then it is not even told who we are */
			rig_ladder_is(g, "a:INIT b:INIT'");
		rig_free(g);
	}
}

/* --- INITIAL_CONTACT */

static void initial_contact(void **state)
{
	(void)state;
	struct rig *g = rig_up(rig_new());
	/* A second one beside it is not a first contact. */
	rig_initiate(g);
	rig_settle(g);
	assert_int_equal(ike_count(g->b.e, IKE_SA_ESTABLISHED), 2);
	assert_int_equal(g->b.downs, 0);
	/* a starts again and knows nothing. */
	ike_free(g->a.e);
	g->a.e = ike_new(&g->a.cfg, &g->a.ops, &g->log);
	for (unsigned i = 0; i < g->a.child_count; i++)
		g->a.children[i].child = NULL;
	rig_initiate(g);
	rig_settle(g);
	assert_int_equal(ike_count(g->b.e, IKE_SA_ESTABLISHED), 1);
	assert_int_equal(g->b.downs, 2);
	assert_string_equal(g->b.down_why, "the peer began anew");
	rig_check(g);
	rig_free(g);
}

/* --- addresses */

static void cp_add(struct ike_cp *cp, uint16_t attr, const char *addr, uint8_t prefix_len)
{
	struct addr a = ip(addr);
	cp->at[cp->count].attr = attr;
	cp->at[cp->count].len = (uint8_t)(addr_len(&a) + (prefix_len ? 1 : 0));
	memcpy(cp->at[cp->count].value, a.b, addr_len(&a));
	if (prefix_len)
		cp->at[cp->count].value[addr_len(&a)] = prefix_len;
	cp->count++;
}

static struct rig *rig_for_addresses(void)
{
	struct rig *g = rig_new();
	g->a.peer.request_addresses = true;
	g->a.peer.child.local.count = g->a.peer.child.remote.count = 0;
	g->b.peer.child.local.count = g->b.peer.child.remote.count = 0;
	return g;
}

static void assert_ts(const struct ike_ts_list *l, const char *expected)
{
	char text[4 * IKE_TS_TEXT_MAX] = "", one[IKE_TS_TEXT_MAX];
	for (unsigned i = 0; i < l->count; i++) {
		size_t n = strlen(text);
		snprintf(text + n, sizeof(text) - n, "%s%s", n ? " " : "",
			 ike_ts_format(&l->at[i], one));
	}
	assert_string_equal(text, expected);
}

static void addresses(void **state)
{
	(void)state;
	struct rig *g = rig_for_addresses();
	cp_add(&g->b.assign_reply, IKE_CP_IP4_ADDRESS, "10.9.0.7", 0);
	cp_add(&g->b.assign_reply, IKE_CP_IP6_ADDRESS, "fd00::7", 128);
	cp_add(&g->b.assign_reply, IKE_CP_IP4_DNS, "10.9.0.1", 0);
	setup(g);
	assert_up(g, "addresses");
	assert_int_equal(g->a.assigned.kind, IKE_CP_REPLY);
	assert_int_equal(g->a.assigned.count, 3);
	assert_int_equal(g->a.assigned.at[2].attr, IKE_CP_IP4_DNS);
	assert_memory_equal(g->a.assigned.at[2].value, ip("10.9.0.1").b, 4);
	assert_ts(&rig_last(&g->a)->local, "10.9.0.7/32 fd00::7/128");
	assert_ts(&rig_last(&g->a)->remote, "0.0.0.0/0 ::/0");
	assert_ts(&rig_last(&g->b)->remote, "10.9.0.7/32 fd00::7/128");
	/* They stay with the terminal: further children and rekeys are for them. */
	ike_sa_rekey(g->a.e, g->a.sa, g->now_us);
	rig_settle(g);
	ike_child_create(g->a.e, g->a.sa, NULL, NULL, g->now_us);
	rig_settle(g);
	assert_int_equal(rig_up_count(&g->a), 2);
	assert_ts(&rig_last(&g->a)->local, "10.9.0.7/32 fd00::7/128");
	assert_ts(&rig_last(&g->b)->remote, "10.9.0.7/32 fd00::7/128");
	rig_free(g);
}

static void no_addresses_left(void **state)
{
	(void)state;
	struct rig *g = rig_for_addresses();
	setup(g);
	assert_non_null(g->a.sa);
	assert_non_null(g->b.sa);
	assert_int_equal(rig_up_count(&g->a) + rig_up_count(&g->b), 0);
	assert_int_equal(g->a.failures, 1);
	assert_int_equal(g->a.fail_notify, IKE_N_INTERNAL_ADDRESS_FAILURE);
	rig_free(g);
}

/* --- the first child */

static void child_alone_fails(void **state)
{
	(void)state;
	static const struct {
		const char *what;
		uint16_t notify;
	} rows[] = {{"proposal", IKE_N_NO_PROPOSAL_CHOSEN},
		    {"selectors", IKE_N_TS_UNACCEPTABLE},
		    {"the daemon", IKE_N_NO_ADDITIONAL_SAS}};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct rig *g = rig_new();
		if (i == 0)
			rig_suites(SUITE_ESP, "aes256gcm16", &g->b.peer.child.esp);
		else if (i == 1)
			g->b.peer.child.local.at[0] = rig_ts("10.3.0.0/24");
		else
			g->b.refuse_child = IKE_N_NO_ADDITIONAL_SAS;
		setup(g);
		assert_non_null(g->a.sa);
		assert_non_null(g->b.sa);
		assert_int_equal(rig_up_count(&g->a) + rig_up_count(&g->b), 0);
		assert_int_equal(g->a.failures, 1);
		assert_int_equal(g->a.fail_notify, rows[i].notify);
		rig_ladder_is(g, INIT_SETUP);
		rig_free(g);
	}
}

/* What the responder made and our daemon does not take is deleted. */
static void child_refused_here(void **state)
{
	(void)state;
	struct rig *g = rig_new();
	g->a.refuse_child = IKE_N_NO_ADDITIONAL_SAS;
	setup(g);
	rig_ladder_is(g, INIT_SETUP " a:INFO b:INFO'");
	assert_int_equal(rig_up_count(&g->b), 0);
	assert_int_equal(g->a.failures, 1);
	rig_free(g);
}

static void childless(void **state)
{
	(void)state;
	struct rig *g = rig_new();
	g->a.peer.childless = true;
	rig_suites(SUITE_ESP, "aes128gcm16-x25519", &g->a.peer.child.esp);
	rig_suites(SUITE_ESP, "aes128gcm16-x25519", &g->b.peer.child.esp);
	setup(g);
	rig_ladder_is(g, INIT_SETUP " a:CHILD b:CHILD'");
	assert_up(g, "childless");
	assert_ptr_equal(ike_child_suite(rig_last(&g->a)->child)->group, kex_by_name("x25519"));
	rig_free(g);
}

static void forced_udp(void **state)
{
	(void)state;
	struct rig *g = rig_new();
	g->a.peer.force_udp = true;
	setup(g);
	assert_up(g, "forced");
	assert_true(rig_last(&g->a)->udp && rig_last(&g->b)->udp);
	rig_free(g);
}

static void each_message_lost(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct rig *g = rig_new();
		g->lose_a = i & 1;
		g->lose_b = i & 2;
		setup(g);
		assert_up(g, "lost");
		rig_free(g);
	}
}

/* --- EAP with its real methods; the rounds are test_ike_eap_auth.c's */

static struct ike_peer user;

static const struct ike_peer *find_eap(void *ctx, const struct ike_peer *generic, const char *name,
				       const char **password)
{
	(void)ctx;
	user = *generic;
	*password = "a user's secret";
	return strcmp(name, "alice") == 0 ? &user : NULL;
}

static void eap_mschapv2(void **state)
{
	(void)state;
	static const struct {
		const char *name, *password;
		bool good;
	} rows[] = {{"alice", "a user's secret", true},
		    {"alice", "another secret", false},
		    {"bob", "a user's secret", false}};
	struct creds c = creds_new(PKI_P256, PKI_P256);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct rig *g = rig_with(&c, IKE_BY_EAP, IKE_BY_CERT);
		g->a.peer.eap = g->b.peer.eap = EAP_MSCHAPV2;
		g->a.peer.eap_identity = rows[i].name;
		g->a.peer.eap_password = rows[i].password;
		g->b.ops.find_eap = find_eap;
		setup(g);
		if (rows[i].good) {
			assert_up(g, "MSCHAPv2");
			assert_string_equal(ike_sa_eap_identity(g->b.sa), "alice");
		} else {
			assert_not_up(g, rows[i].name, "failed");
			assert_int_equal(g->a.down_notify, IKE_N_AUTHENTICATION_FAILED);
		}
		rig_free(g);
	}
	creds_free(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(psk),
	    cmocka_unit_test(certificates),
	    cmocka_unit_test(mixed_directions),
	    cmocka_unit_test(by_names_of_certificates),
	    cmocka_unit_test(certificate_on_request),
	    cmocka_unit_test(large_certificates_in_fragments),
	    cmocka_unit_test(failures),
	    cmocka_unit_test(bad_certificates),
	    cmocka_unit_test(responder_is_told),
	    cmocka_unit_test(every_octet_of_init_counts),
	    cmocka_unit_test(ppk),
	    cmocka_unit_test(ppk_cannot_be_hidden),
	    cmocka_unit_test(initial_contact),
	    cmocka_unit_test(eap_mschapv2),
	    cmocka_unit_test(addresses),
	    cmocka_unit_test(no_addresses_left),
	    cmocka_unit_test(child_alone_fails),
	    cmocka_unit_test(child_refused_here),
	    cmocka_unit_test(childless),
	    cmocka_unit_test(forced_udp),
	    cmocka_unit_test(each_message_lost),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
