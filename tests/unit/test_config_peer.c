/* SPDX-License-Identifier: MIT */
/*
 * The configuration of IKEv2: what right texts mean; certificates in files; the bundle of a reload;
 * which peers a reload keeps.
 */
#include "config_rig.h"

/* --- what texts mean */

static void check_id(const struct identity *i, const char *text)
{
	char buf[128];
	assert_string_equal(identity_format(i, buf, sizeof(buf)), text);
}

static void test_terminal_defaults(void **state)
{
	struct config *c = load_good(TP(""));
	const struct config_ike *ike = c->ike;
	const struct config_peer *p = c->terminals->peer;
	struct suite_list defaults;

	(void)state;
	assert_int_equal(c->home_agent_count, 0);
	assert_int_equal(c->route_count, 2);
	assert_int_equal(c->terminals->home_count, 0);
	assert_int_equal(c->terminals->registration_key_len, 0);
	assert_null(c->terminals->connections);
	assert_null(c->terminals->places);
	assert_int_equal(c->terminals->lifetime_s, 600);
	assert_int_equal(ike->port, 500);
	assert_int_equal(ike->spares, 2);
	assert_true(ike->start);
	assert_null(ike->eap);
	assert_false(ike->engine.wireshark);
	assert_int_equal(ike->engine.half_open_max, 4096);
	assert_int_equal(ike->server_count, 1);
	assert_string_equal(ike->servers[0].name, "vpn.example.org");
	assert_int_equal(ike->servers[0].addr.family, 0);
	assert_int_equal(ike->servers[0].port, 4500);
	assert_string_equal(p->peer.name, "vpn.example.org");
	check_id(p->peer.local_id, "alice@example.org");
	check_id(p->peer.remote_id, "vpn.example.org");
	assert_int_equal(p->peer.local_auth, IKE_BY_PSK);
	assert_int_equal(p->peer.remote_auth, IKE_BY_PSK);
	assert_int_equal(p->peer.psk_len, strlen(SECRET));
	assert_memory_equal(p->peer.psk, SECRET, strlen(SECRET));
	suite_defaults(SUITE_IKE, &defaults);
	assert_int_equal(p->peer.ike.count, defaults.count);
	suite_defaults(SUITE_ESP, &defaults);
	assert_int_equal(p->peer.child.esp.count, defaults.count);
	assert_int_equal(p->peer.child.ah.count, 0);
	assert_int_equal(p->peer.rekey_us, 4 * 3600 * (usec_t)USEC_PER_SEC);
	assert_int_equal(p->peer.child.rekey_us, 3600 * (usec_t)USEC_PER_SEC);
	assert_int_equal(p->peer.child.life_us, 4500 * (usec_t)USEC_PER_SEC);
	assert_int_equal(p->peer.liveness_us, 30 * (usec_t)USEC_PER_SEC);
	assert_int_equal(p->peer.keepalive_us, 20 * (usec_t)USEC_PER_SEC);
	assert_true(p->peer.mobike && p->peer.fragmentation);
	assert_true(p->peer.sojourn && p->peer.force_udp && p->peer.request_addresses);
	assert_false(p->peer.childless); /* it has a connection to make */
	assert_false(p->peer.child.transport || p->peer.child.require_pfs);
	assert_false(p->peer.send_cert || p->peer.send_certreq || p->peer.ppk_required);
	assert_null(p->peer.ppk_id);
	assert_int_equal(p->rekey_packets, 1ull << 32);
	assert_int_equal(p->rekey_bytes, 0);
	config_free(c);
}

static void test_terminal_full(void **state)
{
	struct config *c = load_good(
	    "role = terminal home-address = \"10.1.0.10\" prefix = \"10.9.0.0/24\"\n"
	    "ike { server = { \"203.0.113.1:500\", \"[2001:db8::1]:4501\", \"2001:db8::2\" }\n" ME
	    "secret-file = \"@/secret\" ppk-id = p1 ppk = \"0x" HEX32 "\" ppk-required = yes\n"
	    "proposals = { \"aes256-sha384-ecp384\", \"aes128gcm16-prfsha256-x25519\" }\n"
	    "esp-proposals = \"aes128gcm16-x25519-esn\" pfs = yes rekey-ike = 600 rekey-child = "
	    "60\n"
	    "rekey-bytes = 1G rekey-packets = 1000 liveness = 5 keepalive = 0 mobike = no\n"
	    "fragmentation = no childless = no sojourn = no encapsulation = auto spares = 4\n"
	    "start = no port = 1500 wireshark-keys = yes retransmit-time = 250 fragment-size = "
	    "600\n"
	    "prefer = { eth0, wwan0 } }\n"
	    "connection wifi { interface = wlan0 } connection office { network = "
	    "\"02:00:00:00:00:0b\" }\n");
	const struct config_ike *ike = c->ike;
	const struct config_peer *p = c->terminals->peer;
	const struct config_place *x = c->terminals->places;

	(void)state;
	assert_int_equal(ike->server_count, 3);
	assert_int_equal(ike->servers[0].port, 500);
	assert_int_equal(ike->servers[0].addr.family, 4);
	assert_int_equal(ike->servers[1].port, 4501);
	assert_int_equal(ike->servers[1].addr.family, 6);
	assert_int_equal(ike->servers[2].port, 4500);
	assert_string_equal(ike->servers[2].name, "2001:db8::2");
	assert_int_equal(p->peer.remote_id->type, IDENTITY_NONE);
	assert_int_equal(p->peer.psk_len, 21);
	assert_int_equal(p->peer.ppk_len, 32);
	assert_int_equal(p->peer.ppk[31], 0xbf);
	assert_string_equal(p->peer.ppk_id, "p1");
	assert_true(p->peer.ppk_required);
	assert_int_equal(p->peer.ike.count, 2);
	assert_int_equal(p->peer.child.esp.count, 1);
	assert_int_equal(p->peer.child.esp.at[0].group_count, 1);
	assert_true(p->peer.child.require_pfs);
	assert_int_equal(p->peer.rekey_us, 600 * (usec_t)USEC_PER_SEC);
	assert_int_equal(p->peer.child.life_us, 75 * (usec_t)USEC_PER_SEC);
	assert_int_equal(p->rekey_bytes, 1u << 30);
	assert_int_equal(p->rekey_packets, 1000);
	assert_int_equal(p->peer.keepalive_us, 0);
	assert_false(p->peer.mobike || p->peer.fragmentation || p->peer.childless);
	assert_false(p->peer.sojourn || p->peer.force_udp || ike->start);
	assert_int_equal(ike->spares, 4);
	assert_int_equal(ike->port, 1500);
	assert_true(ike->engine.wireshark);
	assert_int_equal(ike->engine.retransmit_us, 250 * (usec_t)USEC_PER_MS);
	assert_int_equal(ike->engine.fragment_len, 600);
	/* its address and what is behind it */
	assert_int_equal(p->peer.child.local.count, 2);
	assert_int_equal(p->peer.child.remote.count, 0);
	const char *const names[] = {"wifi", "office", "eth0", "wwan0"};
	for (unsigned k = 0; k < ARRAY_LEN(names); k++, x = x->next) {
		assert_string_equal(x->name, names[k]);
		assert_int_equal(x->preference, k);
		assert_int_equal(x->has_network, k == 1);
	}
	assert_null(x);
	config_free(c);
}

/* Keys and IKE side by side. */
static void test_terminal_both(void **state)
{
	struct config *c = load_good(
	    "role = terminal home-address = \"10.1.0.10\" home-agent = \"10.1.0.1\"\n"
	    "registration-spi = 300 registration-key = \"" HEX32 "\"\nike { " VPN ME PSK "}\n"
	    "connection cell { interface = wwan0 }\nconnection wifi { server = \"203.0.113.1\" "
	    "cipher = null integrity = sha256 spi-in = 300 spi-out = 301 key-in = \"" HEX32
	    "\" key-out = \"" HEX32 "\" }\n");

	(void)state;
	assert_string_equal(c->terminals->places->name, "cell");
	assert_int_equal(c->terminals->places->preference, 0);
	assert_string_equal(c->terminals->connections->name, "wifi");
	assert_int_equal(c->terminals->connections->preference, 1);
	assert_int_equal(c->terminals->registration_spi, 300);
	config_free(c);
}

static void test_certificates(void **state)
{
	struct config *c = load_good(TC("crl = \"@/ca.crl\" crl-required = yes"));
	const struct ike_peer *p = &c->terminals->peer->peer;

	(void)state;
	assert_int_equal(p->local_auth, IKE_BY_CERT);
	assert_int_equal(p->remote_auth, IKE_BY_CERT);
	assert_int_equal(p->local_id->type, IDENTITY_DN);
	assert_true(p->own && p->trust && p->send_cert && p->send_certreq);
	assert_null(p->psk);
	config_free(c);

	c = load_good(TC("id = \"alice@example.org\" server-id = \"O=Test, CN=vpn\""));
	p = &c->terminals->peer->peer;
	check_id(p->local_id, "alice@example.org");
	assert_int_equal(p->remote_id->type, IDENTITY_DN);
	config_free(c);

	/* mixed: the server by certificate, we by secret */
	c = load_good(T(VPN ME PSK CA "server-auth = certificate"));
	p = &c->terminals->peer->peer;
	assert_int_equal(p->local_auth, IKE_BY_PSK);
	assert_int_equal(p->remote_auth, IKE_BY_CERT);
	config_free(c);

	c = load_good(T(VPN ME CA "password-file = \"@/password\""));
	p = &c->terminals->peer->peer;
	assert_int_equal(p->local_auth, IKE_BY_EAP);
	assert_int_equal(p->eap, EAP_MSCHAPV2);
	assert_string_equal(p->eap_identity, "alice@example.org");
	assert_string_equal(p->eap_password, PASS);
	assert_null(p->eap_tls);
	config_free(c);

	c = load_good(
	    T(VPN CERT CA
	      "auth = eap-tls eap-identity = alice crl = \"@/ca.crl\" crl-required = yes"));
	p = &c->terminals->peer->peer;
	assert_int_equal(p->eap, EAP_TLS);
	assert_string_equal(p->eap_identity, "alice");
	assert_non_null(p->eap_tls);
	assert_int_equal(p->remote_auth, IKE_BY_CERT);
	config_free(c);

	c = load_good(
	    T(VPN "certificate = \"@/rsa.pem\" private-key = \"@/rsa.key\" rsa-pss = yes " CA));
	assert_true(c->terminals->peer->peer.rsa_pss);
	config_free(c);
}

#define SERVER_FULL                                                                                \
	"role = home-server listen = \"203.0.113.1\" home-agent = { \"10.1.0.1\", \"fd00::1\" }\n" \
	"ike { id = \"vpn.example.org\" " SCERT                                                    \
	"proposals = \"aes128gcm16-prfsha256-x25519\" dns = \"10.1.0.1\" cookie-threshold = 10\n"  \
	"subnets = \"10.0.0.0/8\" secret = \"" SECRET "\" auth = certificate half-open-time = 10 " \
	"liveness = 60 }\n"                                                                        \
	"pool main { address = { \"10.1.0.100-10.1.0.200\", \"10.2.0.0/16\", \"fd00:1::/112\" } "  \
	"}\n"                                                                                      \
	"pool lab { address = \"10.3.0.4/30\" dns = { \"10.3.0.1\", \"fd00::53\" } subnets = "     \
	"\"10.3.0.0/16\" }\n"                                                                      \
	"terminal alice { " ME HOME "secret = \"0x" HEX32 "\"\n"                                   \
	"proposals = \"aes256-sha384-ecp384\" liveness = 7 }\n"                                    \
	"terminal bob { id = \"bob@example.org\" pool = lab auth = eap-mschapv2 password = "       \
	"\"" PASS "\" }\n"                                                                         \
	"terminal fleet { id = \"*.fleet.example.org\" pool = main }\n"                            \
	"terminal carol { eap-identity = carol auth = eap-tls pool = main }\n"

static void check_range(const struct config_range *g, const char *from, const char *to)
{
	char a[ADDR_TEXT_MAX], b[ADDR_TEXT_MAX];

	assert_string_equal(addr_format(&g->from, a), from);
	assert_string_equal(addr_format(&g->to, b), to);
}

static void test_server_values(void **state)
{
	struct config *c = load_good(SERVER_FULL);
	const struct config_terminal *alice = c->terminals, *bob = alice->next, *fleet = bob->next,
				     *carol = fleet->next;
	const struct config_pool *main_pool = c->pools, *lab = main_pool->next;

	(void)state;
	check_id(c->ike->id, "vpn.example.org");
	assert_int_equal(c->ike->spares, 8);
	assert_int_equal(c->ike->engine.half_open_cookie, 10);
	assert_int_equal(c->ike->engine.half_open_us, 10 * (usec_t)USEC_PER_SEC);
	assert_int_equal(c->ike->proposals.count, 2); /* with alice's */
	check_range(&main_pool->ranges[0], "10.1.0.100", "10.1.0.200");
	check_range(&main_pool->ranges[1], "10.2.0.1", "10.2.255.254");
	check_range(&main_pool->ranges[2], "fd00:1::1", "fd00:1::ffff");
	check_range(&lab->ranges[0], "10.3.0.5", "10.3.0.6");
	assert_int_equal(main_pool->dns_count, 1);
	assert_int_equal(lab->dns_count, 2);
	assert_int_equal(lab->subnets[0].len, 16);

	const struct ike_peer *p = &alice->peer->peer;
	assert_string_equal(p->name, "alice");
	check_id(p->local_id, "vpn.example.org");
	check_id(p->remote_id, "alice@example.org");
	/* what is written here comes before section ike's `auth` */
	assert_int_equal(p->remote_auth, IKE_BY_PSK);
	assert_int_equal(p->local_auth, IKE_BY_PSK);
	assert_int_equal(p->psk_len, 32);
	assert_int_equal(p->ike.count, 1);
	assert_int_equal(p->liveness_us, 7 * (usec_t)USEC_PER_SEC);
	assert_false(p->request_addresses || p->force_udp || alice->peer->is_pattern);
	assert_true(p->childless);
	assert_null(alice->pool);
	assert_int_equal(p->child.local.count, 3); /* subnets, home agents */

	p = &bob->peer->peer;
	assert_ptr_equal(bob->pool, lab);
	assert_int_equal(p->remote_auth, IKE_BY_EAP);
	assert_int_equal(p->local_auth, IKE_BY_CERT);
	assert_string_equal(p->eap_identity, "bob@example.org");
	assert_string_equal(p->eap_password, PASS);
	assert_int_equal(p->liveness_us, 60 * (usec_t)USEC_PER_SEC);

	p = &fleet->peer->peer;
	assert_true(fleet->peer->is_pattern);
	assert_int_equal(p->remote_auth, IKE_BY_CERT);
	assert_ptr_equal(fleet->pool, main_pool);

	p = &carol->peer->peer;
	assert_int_equal(p->remote_id->type, IDENTITY_NONE);
	assert_false(carol->peer->is_pattern);
	assert_int_equal(p->eap, EAP_TLS);
	assert_non_null(p->eap_tls);
	assert_null(carol->next);

	p = &c->ike->eap->peer;
	assert_int_equal(p->remote_auth, IKE_BY_EAP);
	assert_int_equal(p->local_auth, IKE_BY_CERT);
	assert_int_equal(p->eap, EAP_MSCHAPV2);
	assert_int_equal(p->remote_id->type, IDENTITY_NONE);
	config_free(c);
}

/* The only pool is everybody's; a terminal may have keys and an identity. */
static void test_server_short(void **state)
{
	struct config *c = load_good(
	    S("pool main { address = \"10.1.0.100-10.1.0.200\" }\nterminal alice { " ME PSK "}\n"
	      "terminal bob { id = bob.example.org home-address = \"10.1.0.11\" " PSK
	      "registration-spi = 300 registration-key = \"" HEX32
	      "\" connection wifi { cipher = null integrity = sha256 spi-in = 300 spi-out = 301 "
	      "key-in = \"" HEX32 "\" key-out = \"" HEX32 "\" } }"));

	(void)state;
	assert_ptr_equal(c->terminals->pool, c->pools);
	assert_non_null(c->terminals->next->connections);
	assert_non_null(c->terminals->next->peer);
	assert_null(c->terminals->next->pool);
	assert_null(c->ike->eap);
	config_free(c);
}

static void check_example(const char *name, enum config_role role)
{
	char path[512];
	struct err err = {""};

	snprintf(path, sizeof(path), "%s/examples/%s", getenv("SOURCE_ROOT"), name);
	FILE *in = fopen(path, "r");
	if (!in)
		fail_msg("%s is not there", path);
	struct config *c = config_read(in, path, &err);
	fclose(in);
	if (!c)
		fail_msg("%s", err.text);
	assert_int_equal(c->role, role);
	assert_non_null(c->terminals->peer);
	config_free(c);
}

static void test_examples(void **state)
{
	(void)state;
	if (!getenv("SOURCE_ROOT"))
		skip();
	check_example("terminal-ike.conf", ROLE_TERMINAL);
	check_example("terminal-n-cast.conf", ROLE_TERMINAL);
	check_example("home-server-ike.conf", ROLE_HOME_SERVER);
}

/* --- the bundle of a reload */

static struct config *through_bundle(const char *text, size_t cut, struct err *err)
{
	char path[128];
	char *full CLEANUP_FREE = at_directory(text), *bytes = NULL;
	size_t len = 0;

	write_at("t.conf", full, strlen(full), 0600);
	snprintf(path, sizeof(path), "%s/t.conf", directory);
	FILE *out = open_memstream(&bytes, &len);
	struct config *c = config_load_bundle(path, out, err);
	fclose(out);
	if (c) {
		config_free(c);
		/* whoever reads has no files any more */
		char away[sizeof(directory) + 8];
		snprintf(away, sizeof(away), "%s.away", directory);
		assert_int_equal(rename(directory, away), 0);
		FILE *in = fmemopen(bytes, !cut ? len : cut < len ? cut : len - 1, "r");
		c = config_read_bundle(in, path, err);
		fclose(in);
		assert_int_equal(rename(away, directory), 0);
	}
	free(bytes);
	return c;
}

static void test_bundle(void **state)
{
	static const char text[] = SERVER_FULL
	    "terminal dora { id = \"dora\" home-address = \"10.1.0.12\" secret-file = \"@/secret\" "
	    "}\n"
	    "terminal emil { id = \"emil\" home-address = \"10.1.0.13\" secret-file = \"@/secret\" "
	    "}\n";
	struct err err = {""};
	struct config *a = load_good(text), *b = through_bundle(text, 0, &err);

	(void)state;
	if (!b)
		fail_msg("%s", err.text);
	assert_null(config_fixed_difference(a, b));
	const struct config_terminal *t = a->terminals, *u = b->terminals;
	for (; t && u; t = t->next, u = u->next) {
		assert_true(config_terminal_equal(t, u));
		assert_true(config_peer_equal(t->peer, u->peer));
	}
	assert_true(!t && !u);
	config_free(a);
	config_free(b);
	/* not whole */
	for (size_t cut = 1; cut < 40; cut++)
		assert_null(through_bundle(text, cut, &err));
	assert_non_null(strstr(err.text, "not whole; reload again"));
	assert_null(through_bundle(text, SIZE_MAX, &err));
	/* what is wrong is said before anything is handed on */
	assert_null(through_bundle("role = x\n", 0, &err));
	assert_non_null(strstr(err.text, ":1: role"));
	assert_null(through_bundle("", 0, &err));
	assert_non_null(strstr(err.text, "empty"));
}

/* A bundle with one byte changed anywhere in front of its data: refused or read, no more. */
static void test_bundle_spoilt(void **state)
{
	char *bytes = NULL;
	size_t len = 0;
	struct err err = {""};
	char path[128];
	char *full CLEANUP_FREE = at_directory(TP(""));

	(void)state;
	write_at("t.conf", full, strlen(full), 0600);
	snprintf(path, sizeof(path), "%s/t.conf", directory);
	FILE *out = open_memstream(&bytes, &len);
	config_free(config_load_bundle(path, out, &err));
	fclose(out);
	for (size_t at = 0; at < 24; at++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			bytes[at] = (char)(bytes[at] ^ (1 << bit));
			FILE *in = fmemopen(bytes, len, "r");
			config_free(config_read_bundle(in, path, &err));
			fclose(in);
			bytes[at] = (char)(bytes[at] ^ (1 << bit));
		}
	}
	free(bytes);
}

/* --- which peers a reload keeps */

static void check_peer(const char *before, const char *after, bool same)
{
	struct config *a = load_good(before), *b = load_good(after);

	if (config_peer_equal(a->terminals->peer, b->terminals->peer) != same)
		fail_msg("should be %s: %s", same ? "equal" : "different", after);
	config_free(a);
	config_free(b);
}

static void test_peer_equal(void **state)
{
	static const char *const differ[] = {
	    T(VPN "id = \"bob@example.org\" " PSK),
	    T("server = \"x.example.org\" " ME PSK),
	    T(VPN ME "secret = \"another-long-secret\""),
	    T(VPN ME PSK "server-id = \"x.example.org\""),
	    TP("proposals = \"aes128gcm16-prfsha256-x25519\""),
	    TP("esp-proposals = \"aes128gcm16\""),
	    TP("rekey-ike = 60"),
	    TP("rekey-child = 60"),
	    TP("rekey-bytes = 1M"),
	    TP("rekey-packets = 1M"),
	    TP("liveness = 60"),
	    TP("keepalive = 60"),
	    TP("mobike = no"),
	    TP("fragmentation = no"),
	    TP("childless = yes"),
	    TP("sojourn = no"),
	    TP("encapsulation = auto"),
	    TP("mode = transport } home-address = \"10.1.0.10\" home-agent = \"10.1.0.1\" home { "
	       "prefix = \"10.1.0.0/24\" gateway = \"10.1.0.1\""),
	    TP("pfs = yes esp-proposals = \"aes128gcm16-ecp256\""),
	    TP("ppk-id = p ppk = \"0x" HEX32 "\""),
	    T(VPN ME CA "password = \"" PASS "\""),
	};

	(void)state;
	check_peer(TP(""), TP(""), true);
	check_peer(TP(""), TP("spares = 3 prefer = wlan0 start = no"), true);
	check_peer(TP(""), "log-level = debug\n" TP(""), true);
	check_peer(TC(""), TC("crl = \"@/ca.crl\""), true);
	for (size_t k = 0; k < ARRAY_LEN(differ); k++)
		check_peer(TP(""), differ[k], false);
	check_peer(T(VPN ME CA "password = \"" PASS "\""), T(VPN ME CA "password = \"other\""),
		   false);
	check_peer(TP("ppk-id = p ppk = \"0x" HEX32 "\""), TP("ppk-id = p ppk = \"0x" HEX32 "00\""),
		   false);
}

static void test_peer_keep(void **state)
{
	const usec_t hour = 3600 * (usec_t)USEC_PER_SEC;
	struct config *a = load_good(TC("")), *b;
	const struct config_peer *peer = a->terminals->peer;

	(void)state;
	for (unsigned k = 0; k < 5; k++) {
		b = load_good(k % 2 ? TC("") : TC("crl = \"@/ca.crl\""));
		const struct cert_trust *fresh = b->ike->credentials->trust;
		assert_true(config_peer_keep(&a->terminals->peer, &b->terminals->peer, k * hour));
		assert_ptr_equal(b->terminals->peer, peer);
		assert_ptr_equal(peer->peer.trust, fresh);
		/* the last ones stay a while, older ones do not */
		assert_non_null(peer->credentials->before);
		assert_null(peer->credentials->before->before);
		config_free(a);
		a = b;
	}
	/* two within a minute: both stay */
	b = load_good(TC(""));
	assert_true(config_peer_keep(&a->terminals->peer, &b->terminals->peer, 4 * hour + 1));
	assert_non_null(peer->credentials->before->before);
	config_free(a);
	a = b;
	b = load_good(TC("liveness = 7"));
	assert_false(config_peer_keep(&a->terminals->peer, &b->terminals->peer, 5 * hour));
	assert_ptr_equal(a->terminals->peer, peer);
	config_free(a);
	config_free(b);
}

static void test_fixed_difference(void **state)
{
	static const struct {
		const char *text, *name;
	} differ[] = {
	    {TP("port = 501"), "port of section ike"},
	    {TP("wireshark-keys = yes"), "wireshark-keys"},
	    {TP("retransmit-time = 100"), "retransmit-time"},
	    {TP("retransmit-tries = 3"), "retransmit-tries"},
	    {TP("fragment-size = 600"), "fragment-size"},
	    {TP("spares = 3"), NULL},
	};

	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(differ); k++) {
		struct config *a = load_good(TP("")), *b = load_good(differ[k].text);
		const char *name = config_fixed_difference(a, b);
		if (differ[k].name)
			assert_string_equal(name, differ[k].name);
		else
			assert_null(name);
		config_free(a);
		config_free(b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_terminal_defaults), cmocka_unit_test(test_terminal_full),
	    cmocka_unit_test(test_terminal_both),     cmocka_unit_test(test_certificates),
	    cmocka_unit_test(test_server_values),     cmocka_unit_test(test_server_short),
	    cmocka_unit_test(test_examples),	      cmocka_unit_test(test_bundle),
	    cmocka_unit_test(test_bundle_spoilt),     cmocka_unit_test(test_peer_equal),
	    cmocka_unit_test(test_peer_keep),	      cmocka_unit_test(test_fixed_difference),
	};
	return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
