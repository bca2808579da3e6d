/* SPDX-License-Identifier: MIT */
/* Whom a peer's certificate convinces, and why not. */
#include "cert_rig.h"
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/cursor.h"
#include "base/mem.h"
#include "crypto/warm.h"

static struct pki root, middle, stranger;
static struct cert_trust *trust; /* root alone */

static int setup(void **state)
{
	(void)state;
	root = pki_ca("C=CH, O=Test, CN=Root");
	middle = pki_intermediate(&root, "O=Test, CN=Middle");
	stranger = pki_ca("C=CH, O=Test, CN=Root"); /* the same name */
	trust = trust_of(&root);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	cert_trust_free(trust);
	pki_free(&root);
	pki_free(&middle);
	pki_free(&stranger);
	return 0;
}

/* --- leaves of the root */

static void test_leaves(void **state)
{
	static const struct {
		struct pki_spec s;
		const char *says; /* NULL: believed */
	} rows[] = {
	    {{.key = PKI_P256}, NULL},
	    {{.key = PKI_P384}, NULL},
	    {{.key = PKI_P521}, NULL},
	    {{.key = PKI_ED25519}, NULL},
	    {{.key = PKI_RSA2048}, NULL},
	    {{.key = PKI_RSA3072, .digest = "SHA512"}, NULL},
	    {{.key = PKI_RSA_PSS}, NULL},
	    {{.key = PKI_RSA1024}, "CN=leaf: its key is RSA with 1024 bits"},
	    {{.key = PKI_SECP256K1}, "CN=leaf: its key's curve is secp256k1"},
	    {{.key = PKI_ED448}, "CN=leaf: its key is ED448"},
	    {{.digest = "SHA1"}, "CN=leaf: it is signed with SHA1"},
	    {{.digest = "SHA224"}, "CN=leaf: it is signed with SHA224"},
	    {{.not_before_s = -9 * PKI_DAY_S, .not_after_s = -PKI_DAY_S},
	     "CN=leaf expired at 2025-06-14 15:06 UTC"},
	    {{.not_before_s = -9 * PKI_DAY_S, .not_after_s = -1}, "CN=leaf expired"},
	    {{.not_before_s = -9 * PKI_DAY_S, .not_after_s = 1}, NULL},
	    {{.not_before_s = PKI_DAY_S, .not_after_s = 9 * PKI_DAY_S},
	     "CN=leaf is not valid before 2025-06-16 15:06 UTC"},
	    {{.not_before_s = 1, .not_after_s = 9 * PKI_DAY_S}, "CN=leaf is not valid before"},
	    {{.not_before_s = -1, .not_after_s = 9 * PKI_DAY_S}, NULL},
	    {{.key_usage = "critical,digitalSignature"}, NULL},
	    {{.key_usage = "critical,nonRepudiation"}, NULL},
	    {{.key_usage = "critical,keyEncipherment"}, "CN=leaf: its keyUsage"},
	    {{.ext_key_usage = "serverAuth"}, NULL},
	    {{.ext_key_usage = "clientAuth"}, NULL},
	    {{.ext_key_usage = "1.3.6.1.5.5.7.3.17"}, NULL},
	    {{.ext_key_usage = "anyExtendedKeyUsage"}, NULL},
	    {{.ext_key_usage = "critical,codeSigning,clientAuth"}, NULL},
	    {{.ext_key_usage = "codeSigning"}, "CN=leaf: its extendedKeyUsage"},
	    {{.critical_unknown = true}, "CN=leaf: unhandled critical extension"},
	    {{.issuer = "CN=Nobody"},
	     "CN=leaf: no CA that we believe issued it (its issuer is "
	     "CN=Nobody)"},
	    {{.version = -1}, NULL},
	};

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
		struct pki_spec s = rows[n].s;
		s.subject = "CN=leaf";
		struct pki leaf = pki_make(&s, &root);
		expect_at(trust, &leaf, NULL, NULL, PKI_NOW_US, rows[n].says, (int)n);
		pki_free(&leaf);
	}
	struct pki_spec s = {.subject = "", .serial = 0x1234, .digest = "SHA1"};
	struct pki nameless = pki_make(&s, &root);
	EXPECT(trust, &nameless, NULL, NULL, "certificate with serial number 1234: it is signed");
	pki_free(&nameless);
}

static void test_rsa_issuer(void **state)
{
	static const struct {
		const char *digest, *says;
	} rows[] = {
	    {"MD5", "CN=leaf: it is signed with MD5"},
	    {"SHA1", "CN=leaf: it is signed with SHA1"},
	    {"SHA256", NULL},
	    {"SHA512", NULL},
	};
	struct pki_spec s = {
	    .key = PKI_RSA2048, .subject = "CN=RSA", .basic_constraints = "critical,CA:TRUE"};
	struct pki rsa = pki_make(&s, NULL);
	s.key = PKI_RSA_PSS;
	s.subject = "CN=PSS";
	struct pki pss = pki_make(&s, &rsa), below_pss = pki_leaf(&pss, PKI_P256, "CN=leaf", NULL);
	struct cert_trust *t = trust_of(&rsa);

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
		struct pki_spec l = {.subject = "CN=leaf", .digest = rows[n].digest};
		struct pki leaf = pki_make(&l, &rsa);
		expect_at(t, &leaf, NULL, NULL, PKI_NOW_US, rows[n].says, (int)n);
		pki_free(&leaf);
	}
	EXPECT(t, &below_pss, &pss, NULL, NULL);
	struct pki_spec weak = {.subject = "CN=leaf", .digest = "SHA1"};
	struct pki weak_pss = pki_make(&weak, &pss);
	EXPECT(t, &weak_pss, &pss, NULL, "CN=leaf: it is signed with SHA1");
	cert_trust_free(t);
	pki_free(&weak_pss);
	pki_free(&below_pss);
	pki_free(&pss);
	pki_free(&rsa);
}

static void test_other_issuers(void **state)
{
	struct pki forged = pki_leaf(&stranger, PKI_P256, "CN=leaf", NULL);
	struct pki self = pki_make(&(struct pki_spec){.subject = "CN=self"}, NULL);
	struct pki good = pki_leaf(&root, PKI_P256, "CN=leaf", NULL);
	struct cert_trust *none = cert_trust_new();
	struct err err;

	(void)state;
	EXPECT(trust, &forged, NULL, NULL, "CN=leaf: its issuer's signature is wrong");
	EXPECT(trust, &forged, &stranger, NULL, "CN=leaf: its issuer's signature is wrong");
	EXPECT(trust, &self, NULL, NULL, "CN=self: no CA that we believe");
	EXPECT(none, &good, &root, NULL, "no CA that we believe");
	EXPECT(trust, &root, NULL, NULL, "its keyUsage does not allow signatures");
	assert_null(cert_verify(trust, NULL, 0, PKI_NOW_US, &err));
	cert_trust_free(none);
	pki_free(&forged);
	pki_free(&self);
	pki_free(&good);
}

/* --- chains */

static void test_intermediates(void **state)
{
	static const struct {
		struct pki_spec s;
		const char *says;
	} rows[] = {
	    {{.basic_constraints = "critical,CA:TRUE"}, NULL},
	    {{.basic_constraints = "critical,CA:TRUE,pathlen:0", .key_usage = "keyCertSign"}, NULL},
	    {{.key = PKI_RSA2048, .basic_constraints = "CA:TRUE"}, NULL},
	    {{.basic_constraints = NULL}, "CN=inter issued another, but is not a CA's"},
	    {{.basic_constraints = "CA:FALSE"}, "CN=inter issued another, but is not a CA's"},
	    {{.key_usage = "keyCertSign"}, "CN=inter issued another, but is not a CA's"},
	    {{.version = -1}, "CN=inter issued another, but is not a CA's"},
	    {{.basic_constraints = "critical,CA:TRUE", .key_usage = "cRLSign"}, "CN="},
	    {{.key = PKI_RSA1024, .basic_constraints = "critical,CA:TRUE"},
	     "CN=inter: its key is RSA with 1024 bits"},
	    {{.key = PKI_SECP256K1, .basic_constraints = "critical,CA:TRUE"},
	     "CN=inter: its key's curve is secp256k1"},
	    {{.digest = "SHA1", .basic_constraints = "critical,CA:TRUE"},
	     "CN=inter: it is signed with SHA1"},
	    {{.not_before_s = -9 * PKI_DAY_S,
	      .not_after_s = -PKI_DAY_S,
	      .basic_constraints = "critical,CA:TRUE"},
	     "CN=inter expired at"},
	    {{.name_constraints = "critical,permitted;DNS:example.org",
	      .basic_constraints = "critical,CA:TRUE"},
	     NULL},
	    {{.name_constraints = "critical,permitted;DNS:example.com",
	      .basic_constraints = "critical,CA:TRUE"},
	     "CN=leaf: permitted subtree violation"},
	    {{.name_constraints = "critical,excluded;IP:192.0.2.0/255.255.255.0",
	      .basic_constraints = "critical,CA:TRUE"},
	     "CN=leaf: excluded subtree violation"},
	    {{.name_constraints = "excluded;email:example.org",
	      .basic_constraints = "critical,CA:TRUE"},
	     "CN=leaf: excluded subtree violation"},
	};

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
		struct pki_spec s = rows[n].s;
		s.subject = "CN=inter";
		struct pki inter = pki_make(&s, &root);
		struct pki leaf = pki_leaf(&inter, PKI_P256, "CN=leaf",
					   "DNS:a.example.org,IP:192.0.2.7,email:ann@example.org");
		expect_at(trust, &leaf, &inter, NULL, PKI_NOW_US, rows[n].says, (int)n);
		pki_free(&leaf);
		pki_free(&inter);
	}
}

static void test_chains(void **state)
{
	struct pki lower = pki_intermediate(&middle, "CN=Lower");
	struct pki leaf = pki_leaf(&lower, PKI_P256, "CN=leaf", NULL);
	struct pki_spec s = {.subject = "CN=short", .basic_constraints = "CA:TRUE,pathlen:0"};
	struct pki tight = pki_make(&s, &root), below = pki_intermediate(&tight, "CN=below");
	struct pki deep = pki_leaf(&below, PKI_P256, "CN=deep", NULL);

	(void)state;
	EXPECT(trust, &leaf, NULL, NULL, "CN=leaf: no CA that we believe");
	EXPECT(trust, &leaf, &lower, NULL, "CN=Lower: no CA that we believe");
	EXPECT(trust, &leaf, &middle, NULL, "CN=leaf: no CA that we believe");
	EXPECT(trust, &deep, &below, &tight, "path length constraint exceeded");
	/* In any order; then from the cache, without help. */
	EXPECT(trust, &leaf, &middle, &lower, NULL);
	EXPECT(trust, &leaf, NULL, NULL, NULL);
	/* A CA that is given is believed though it is no root. */
	struct cert_trust *t = trust_of(&middle);
	EXPECT(t, &leaf, &lower, NULL, NULL);
	cert_trust_free(t);
	pki_free(&deep);
	pki_free(&below);
	pki_free(&tight);
	pki_free(&leaf);
	pki_free(&lower);
}

/* What a peer sends beside its certificate may be anything. */
static void test_hostile_helpers(void **state)
{
	struct pki leaf = pki_leaf(&middle, PKI_P256, "CN=leaf", NULL);
	struct pki_text l = pki_cert_der(&leaf), m = pki_cert_der(&middle);
	static const uint8_t junk[] = {0x30, 0x84, 0xff, 0xff, 0xff, 0xff};
	struct cert_der certs[CERT_CHAIN_MAX + 1];
	struct err err = {{0}};

	(void)state;
	certs[0] = (struct cert_der){(const uint8_t *)l.data, l.len};
	for (size_t i = 1; i < ARRAY_LEN(certs); i++)
		certs[i] = (struct cert_der){junk, i % 2 ? sizeof(junk) : 0};
	certs[CERT_CHAIN_MAX] = (struct cert_der){(const uint8_t *)m.data, m.len};
	assert_null(cert_verify(trust, certs, ARRAY_LEN(certs), PKI_NOW_US, &err)); /* too late */
	certs[CERT_CHAIN_MAX - 1] = certs[CERT_CHAIN_MAX];
	struct cert_peer *p = cert_verify(trust, certs, ARRAY_LEN(certs), PKI_NOW_US, &err);
	assert_non_null(p);
	cert_peer_free(p);
	pki_text_free(&l);
	pki_text_free(&m);
	pki_free(&leaf);
}

/* --- the cache */

static void test_cache_keeps_time(void **state)
{
	struct pki_spec s = {.not_before_s = -PKI_DAY_S, .not_after_s = PKI_DAY_S};
	struct pki leaf = pki_make(&s, &root);
	uint64_t day_us = (uint64_t)PKI_DAY_S * 1000000u;

	(void)state;
	EXPECT(trust, &leaf, NULL, NULL, NULL);
	expect_at(trust, &leaf, NULL, NULL, PKI_NOW_US + day_us - 1000000, NULL, __LINE__);
	expect_at(trust, &leaf, NULL, NULL, PKI_NOW_US + day_us, "expired", __LINE__);
	expect_at(trust, &leaf, NULL, NULL, PKI_NOW_US - day_us, NULL, __LINE__);
	expect_at(trust, &leaf, NULL, NULL, PKI_NOW_US - day_us - 1, "not valid before", __LINE__);
	pki_free(&leaf);
}

static void test_peer_outlives_trust(void **state)
{
	struct pki leaf = pki_leaf(&root, PKI_P256, "CN=leaf", "DNS:leaf.example.org");
	struct cert_trust *t = trust_of(&root);
	struct identity *i = identity_parse("leaf.example.org", NULL);
	struct err err;

	(void)state;
	struct cert_peer *a = verify_at(t, &leaf, NULL, NULL, PKI_NOW_US, &err);
	struct cert_peer *b = verify_at(t, &leaf, NULL, NULL, PKI_NOW_US, &err);
	assert_non_null(a);
	assert_ptr_equal(a, b);
	cert_trust_free(t);
	cert_peer_free(a);
	assert_true(cert_peer_has_identity(b, i));
	cert_peer_free(b);
	free(i);
	pki_free(&leaf);
}

/* --- CAs */

static void expect_ca(const struct pki *ca, const char *says)
{
	struct cert_trust *t = cert_trust_new();
	struct pki_text pem = pki_cert_pem(ca);
	struct err err = {{0}};

	assert_int_equal(cert_trust_add_ca(t, pem.data, pem.len, &err), says ? -1 : 0);
	if (says && !strstr(err.text, says))
		fail_msg("\"%s\" has no \"%s\"", err.text, says);
	pki_text_free(&pem);
	cert_trust_free(t);
}

static void test_cas(void **state)
{
	static const struct {
		struct pki_spec s;
		const char *says;
	} rows[] = {
	    {{.basic_constraints = "critical,CA:TRUE"}, NULL},
	    {{.basic_constraints = "critical,CA:TRUE", .digest = "SHA1"}, NULL}, /* nobody asks */
	    {{.basic_constraints = "critical,CA:TRUE", .key = PKI_ED25519}, NULL},
	    {{.basic_constraints = NULL}, "CN=ca is not a CA's"},
	    {{.basic_constraints = "CA:FALSE"}, "CN=ca is not a CA's"},
	    {{.version = -1}, "CN=ca is not a CA's"},
	    {{.basic_constraints = "CA:TRUE", .key_usage = "digitalSignature"}, "is not a CA's"},
	    {{.basic_constraints = "CA:TRUE", .key = PKI_RSA1024}, "CN=ca: its key is RSA with"},
	};

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
		struct pki_spec s = rows[n].s;
		s.subject = "CN=ca";
		struct pki ca = pki_make(&s, NULL);
		expect_ca(&ca, rows[n].says);
		pki_free(&ca);
	}
}

static void test_ca_forms(void **state)
{
	struct cert_trust *t = cert_trust_new();
	struct pki_text both = pki_cert_pem(&root), pem = pki_cert_pem(&middle);
	struct pki_text der = pki_cert_der(&root), key = pki_key_pem(&root);
	uint8_t hashes[60], want[20], *spki = NULL;
	struct err err = {{0}};

	(void)state;
	/* Several, with a key between them and twice the same. */
	pki_text_add(&both, &key);
	pki_text_add(&both, &pem);
	assert_int_equal(cert_trust_hashes(t, hashes, sizeof(hashes)), 0);
	assert_int_equal(cert_trust_add_ca(t, both.data, both.len, &err), 0);
	assert_int_equal(cert_trust_add_ca(t, der.data, der.len, &err), 0);
	assert_int_equal(cert_trust_hashes(t, hashes, sizeof(hashes)), 40);
	assert_int_equal(cert_trust_hashes(t, hashes, 39), 20);
	assert_int_equal(cert_trust_hashes(t, hashes, 19), 0);
	int len = i2d_PUBKEY(middle.key, &spki);
	assert_true(len > 0);
	assert_int_equal(EVP_Digest(spki, (size_t)len, want, NULL, EVP_sha1(), NULL), 1);
	assert_memory_equal(hashes + 20, want, 20);
	OPENSSL_free(spki);

	assert_int_equal(cert_trust_add_ca(t, "", 0, &err), -1);
	assert_int_equal(cert_trust_add_ca(t, key.data, key.len, &err), -1);
	assert_non_null(strstr(err.text, "no certificate"));
	pem.data[pem.len / 2] ^= 1; /* the second is broken */
	memcpy(both.data + both.len - pem.len, pem.data, pem.len);
	memset(both.data + both.len - pem.len / 2, '!', 4);
	assert_int_equal(cert_trust_add_ca(t, both.data, both.len, &err), -1);
	assert_non_null(strstr(err.text, "certificate number 2 in it is malformed"));
	for (size_t n = 0; n < der.len; n++) {
		uint8_t *p = vector_exact((const uint8_t *)der.data, n);
		assert_int_equal(cert_trust_add_ca(t, p, n, &err), -1);
		free(p);
	}
	der.data = realloc(der.data, der.len + 1); /* an octet behind it */
	der.data[der.len] = 0;
	assert_int_equal(cert_trust_add_ca(t, der.data, der.len + 1, &err), -1);
	pki_text_free(&both);
	pki_text_free(&pem);
	pki_text_free(&der);
	pki_text_free(&key);
	cert_trust_free(t);
}

/* --- hostile DER */

static void test_truncated(void **state)
{
	struct pki leaf = pki_leaf(&root, PKI_P256, "CN=leaf", "DNS:leaf.example.org");
	struct pki_text der = pki_cert_der(&leaf);
	struct err err;

	(void)state;
	for (size_t n = 0; n <= der.len; n++) {
		uint8_t *p = vector_exact((const uint8_t *)der.data, n);
		struct cert_der one = {p, n};
		struct cert_peer *peer = cert_verify(trust, &one, 1, PKI_NOW_US, &err);
		assert_int_equal(peer != NULL, n == der.len);
		cert_peer_free(peer);
		free(p);
	}
	pki_text_free(&der);
	pki_free(&leaf);
}

static void test_flipped(void **state)
{
	struct pki leaf = pki_leaf(&root, PKI_P256, "CN=leaf", "DNS:leaf.example.org");
	struct pki_text der = pki_cert_der(&leaf);
	struct cert_der one = {(const uint8_t *)der.data, der.len};
	struct err err;

	(void)state;
	for (size_t n = 0; n < der.len; n++) {
		for (unsigned bit = 0; bit < 8; bit += (unsigned)(n % 3) + 1) {
			der.data[n] = (char)(der.data[n] ^ 1 << bit);
			struct cert_peer *peer = cert_verify(trust, &one, 1, PKI_NOW_US, &err);
			if (peer)
				fail_msg("octet %zu, bit %u", n, bit);
			der.data[n] = (char)(der.data[n] ^ 1 << bit);
		}
	}
	pki_text_free(&der);
	pki_free(&leaf);
}

/* For the fuzzer: certificates that its CA signed. */
static void save(const char *name, uint8_t which, const struct pki_text *a,
		 const struct pki_text *b)
{
	uint8_t seed[4096];
	struct writer w = writer_of(seed, sizeof(seed));

	writer_u8(&w, which);
	for (unsigned i = 0; i < 2 && (i ? b : a); i++) {
		const struct pki_text *t = i ? b : a;
		writer_u16(&w, (uint16_t)t->len);
		writer_bytes(&w, t->data, t->len);
	}
	assert_false(w.failed);
	vector_save("identity", name, seed, writer_len(&w));
}

static void test_fixed(void **state)
{
	static const uint8_t key[32] = "an intermediate's private key...";
	struct pki ca = pki_fixed_ca(), again = pki_fixed_ca(), leaf = pki_fixed_leaf(&ca, 0);
	struct pki_spec s = {.ed25519_seed = key,
			     .subject = "C=CH, O=Fixed, CN=Intermediate",
			     .basic_constraints = "critical,CA:TRUE,pathlen:0",
			     .name_constraints = "critical,permitted;DNS:example.org",
			     .serial = 10};
	struct pki inter = pki_make(&s, &ca), below = pki_fixed_leaf(&inter, 0);
	struct pki_text d = pki_cert_der(&leaf), i = pki_cert_der(&inter);
	struct pki_text b = pki_cert_der(&below), pem = pki_cert_pem(&leaf);
	struct cert_trust *t = trust_of(&ca);

	(void)state;
	assert_int_equal(X509_cmp(ca.cert, again.cert), 0);
	EXPECT(t, &leaf, NULL, NULL, NULL);
	EXPECT(t, &below, &inter, NULL, NULL);
	save("cert-leaf", 200, &d, NULL);
	save("cert-chain", 200, &b, &i);
	save("cert-strict", 201, &d, NULL);
	save("cert-no-helper", 200, &b, NULL);
	save("cert-pem", 200, &pem, NULL);
	cert_trust_free(t);
	pki_text_free(&d);
	pki_text_free(&i);
	pki_text_free(&b);
	pki_text_free(&pem);
	pki_free(&below);
	pki_free(&inter);
	pki_free(&leaf);
	pki_free(&again);
	pki_free(&ca);
}

static void test_save_extensions(void **state)
{
	/* Which, as fuzz_identity.c counts them, and the octets. */
	static const char *const seeds[] = {
	    "00 3016 820e 6d6f6f6e2e6578616d706c652e6f7267 8704c0000201",
	    "00 3007 8205 610062 6364",
	    "00 3002 8700",
	    "00 3000",
	    "01 300a 06082b06010505070311",
	    "02 03020780",
	    "03 30060101ff020100",
	    "0c 300f a00d300b 8209 6578616d706c652e6f"};

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(seeds); n++) {
		struct vector v = vector_of(seeds[n]);
		uint8_t seed[VECTOR_MAX + 1] = {203};
		char name[32];
		assert_true(v.len < VECTOR_MAX);
		memcpy(seed + 1, v.b, v.len);
		snprintf(name, sizeof(name), "extension-%zu", n);
		vector_save("identity", name, seed, v.len + 1);
	}
}

/* --- identities */

static void test_identities(void **state)
{
	static const struct {
		const char *id;
		bool has;
	} rows[] = {
	    {"moon.example.org", true},
	    {"MOON.example.org", true},
	    {"sun.example.org", false},
	    {"example.org", false},
	    {"x.wild.example.org", false}, /* the certificate has *.wild.example.org */
	    {"*.wild.example.org", false},
	    {"moon", false}, /* the common name is no DNS name */
	    {"ann@example.org", true},
	    {"bob@example.org", false},
	    {"@@moon.example.org", false}, /* another type */
	    {"192.0.2.7", true},
	    {"192.0.2.8", false},
	    {"@192.0.2.7", false},
	    {"2001:db8::7", true},
	    {"2001:db8::8", false},
	    {"C=CH, O=Example, CN=moon", true},
	    {"C=ch, O=EXAMPLE, CN=Moon", true},
	    {"C=CH, O=Example, CN=*", false},
	    {"C=CH, O=Example", false},
	    {"CN=moon", false},
	    {"@#00", false},
	    {"%any", false},
	};
	struct pki leaf =
	    pki_leaf(&root, PKI_P256, "C=CH, O=Example, CN=moon",
		     "DNS:moon.example.org,DNS:*.wild.example.org,email:ann@example.org,"
		     "IP:192.0.2.7,IP:2001:db8::7,URI:https://sun.example.org");
	struct pki_text cert = pki_cert_pem(&leaf), key = pki_key_pem(&leaf);
	struct err err = {{0}};

	(void)state;
	struct cert_peer *p = verify_at(trust, &leaf, NULL, NULL, PKI_NOW_US, &err);
	struct cert_own *o = cert_own_new(cert.data, cert.len, key.data, key.len, &err);
	assert_non_null(p);
	assert_non_null(o);
	for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
		struct identity *i = identity_parse(rows[n].id, &err);
		assert_non_null(i);
		if (cert_peer_has_identity(p, i) != rows[n].has ||
		    cert_own_has_identity(o, i) != rows[n].has)
			fail_msg("%s", rows[n].id);
		free(i);
	}
	cert_own_free(o);
	cert_peer_free(p);
	pki_text_free(&cert);
	pki_text_free(&key);
	pki_free(&leaf);
}

static void test_nul_in_name(void **state)
{
	static const char evil[] = "moon.example.org\0.evil.org";
	struct pki_spec s = {.subject = "CN=leaf",
			     .san_dns_raw = (const uint8_t *)evil,
			     .san_dns_raw_len = sizeof(evil) - 1};
	struct pki leaf = pki_make(&s, &root);
	struct identity *good = identity_parse("moon.example.org", NULL);
	struct identity *same = identity_new(IDENTITY_FQDN, evil, sizeof(evil) - 1);
	struct err err;

	(void)state;
	struct cert_peer *p = verify_at(trust, &leaf, NULL, NULL, PKI_NOW_US, &err);
	assert_non_null(p);
	assert_false(cert_peer_has_identity(p, good));
	assert_false(cert_peer_has_identity(p, same));
	cert_peer_free(p);
	free(good);
	free(same);
	pki_free(&leaf);
}

/* --- without files */

/* What the process without files gets: everything in one file of memory. */
struct material {
	uint32_t ca_len, crl_len, cert_len, key_len, der_len;
	uint8_t bytes[16384]; /* one after the other */
};

/* Everything there is, in a process that dies when it opens a file. */
static int work_without_files(const struct material *m)
{
	static const struct chunk part = {"octets", 6};
	const uint8_t *ca = m->bytes, *crl = ca + m->ca_len, *cert = crl + m->crl_len;
	const uint8_t *key = cert + m->cert_len;
	const struct cert_der der = {key + m->key_len, m->der_len};
	uint8_t method, auth[CERT_SIGNATURE_MAX];
	size_t len;
	struct err err;
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);

	crypto_warm_up();
	if (!f || seccomp_rule_add(f, SCMP_ACT_KILL_PROCESS, SCMP_SYS(open), 0) < 0 ||
	    seccomp_rule_add(f, SCMP_ACT_KILL_PROCESS, SCMP_SYS(openat), 0) < 0 ||
	    seccomp_load(f) < 0)
		return 9;
	struct cert_trust *t = cert_trust_new();
	struct cert_own *o = cert_own_new(cert, m->cert_len, key, m->key_len, &err);
	if (!t || !o || cert_trust_add_ca(t, ca, m->ca_len, &err) < 0 ||
	    cert_trust_add_crl(t, crl, m->crl_len, &err) < 0)
		return 1;
	struct cert_peer *p = cert_verify(t, &der, 1, PKI_NOW_US, &err);
	if (!p || cert_sign(o, CERT_HASHES_ALL, true, &part, 1, &method, auth, &len, &err) < 0)
		return 2;
	if (!cert_peer_verify(p, method, auth, len, CERT_HASHES_ALL, &part, 1, &err))
		return 3;
	auth[len - 1] ^= 1; /* a failure loads its texts */
	if (cert_peer_verify(p, method, auth, len, CERT_HASHES_ALL, &part, 1, &err) ||
	    cert_verify(t, &der, 1, 1, &err))
		return 4;
	return 0;
}

/* This program again, in which nothing was used before: argv[1] is a file of memory. */
static int main_without_files(const char *fd)
{
	static struct material m;
	if (pread(atoi(fd), &m, sizeof(m), 0) != (ssize_t)sizeof(m))
		_exit(8);
	_exit(work_without_files(&m));
}

static uint32_t material_add(struct material *m, size_t *at, struct pki_text t)
{
	assert_true(*at + t.len <= sizeof(m->bytes));
	memcpy(m->bytes + *at, t.data, t.len);
	*at += t.len;
	uint32_t len = (uint32_t)t.len;
	pki_text_free(&t);
	return len;
}

static void test_without_files(void **state)
{
	static const enum pki_key kinds[] = {PKI_P256,	  PKI_P384,    PKI_P521,
					     PKI_ED25519, PKI_RSA2048, PKI_RSA_PSS};

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(kinds); n++) {
		struct pki leaf = pki_leaf(&root, kinds[n], "CN=leaf", NULL);
		struct material m = {0};
		size_t at = 0;
		int status, fd = memfd_create("material", 0);
		char number[16];
		m.ca_len = material_add(&m, &at, pki_cert_pem(&root));
		m.crl_len = material_add(&m, &at, pki_crl_pem(&root, &(struct pki_crl_spec){0}));
		m.cert_len = material_add(&m, &at, pki_cert_pem(&leaf));
		m.key_len = material_add(&m, &at, pki_key_pem(&leaf));
		m.der_len = material_add(&m, &at, pki_cert_der(&leaf));
		assert_int_equal(pwrite(fd, &m, sizeof(m), 0), (ssize_t)sizeof(m));
		snprintf(number, sizeof(number), "%d", fd);
		pid_t pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			execl("/proc/self/exe", "test_cert", number, (char *)NULL);
			_exit(7);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
		close(fd);
		pki_free(&leaf);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_leaves),
	    cmocka_unit_test(test_rsa_issuer),
	    cmocka_unit_test(test_other_issuers),
	    cmocka_unit_test(test_intermediates),
	    cmocka_unit_test(test_chains),
	    cmocka_unit_test(test_hostile_helpers),
	    cmocka_unit_test(test_cache_keeps_time),
	    cmocka_unit_test(test_peer_outlives_trust),
	    cmocka_unit_test(test_cas),
	    cmocka_unit_test(test_ca_forms),
	    cmocka_unit_test(test_truncated),
	    cmocka_unit_test(test_flipped),
	    cmocka_unit_test(test_fixed),
	    cmocka_unit_test(test_save_extensions),
	    cmocka_unit_test(test_identities),
	    cmocka_unit_test(test_nul_in_name),
	    cmocka_unit_test(test_without_files),
	};
	if (argc > 1)
		return main_without_files(argv[1]);
	return cmocka_run_group_tests(tests, setup, teardown);
}
