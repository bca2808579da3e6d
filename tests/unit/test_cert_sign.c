/* SPDX-License-Identifier: MIT */
/* What proves us, and the signatures of the AUTH payload. */
#include "vectors.h"
#include "base/mem.h"
#include "crypto/cert.h"
#include "pki.h"

static const struct chunk parts[] = {
    {"the first message ", 18}, {"", 0}, {"a nonce ", 8}, {"prf(SK_p, ID)", 13}};
static const struct chunk others[] = {
    {"the first message ", 18}, {"a nonce ", 8}, {"prf(SK_p, iD)", 13}};
#define WHOLE	  "the first message a nonce prf(SK_p, ID)"
#define WHOLE_LEN 39

/* Both ends of a signature, and another key of the same kind. */
static struct side {
	enum pki_key kind;
	struct pki pki;
	struct cert_own *own;
	struct cert_peer *peer, *other;
} sides[] = {
    {.kind = PKI_P256},	   {.kind = PKI_P384},	  {.kind = PKI_P521},
    {.kind = PKI_ED25519}, {.kind = PKI_RSA2048}, {.kind = PKI_RSA_PSS},
};
static struct pki root;
static struct cert_trust *trust;

static struct cert_own *own_of(const struct pki *p, struct err *err)
{
	struct pki_text cert = pki_cert_pem(p), key = pki_key_pem(p);
	struct cert_own *o = cert_own_new(cert.data, cert.len, key.data, key.len, err);

	pki_text_free(&cert);
	pki_text_free(&key);
	return o;
}

static struct cert_peer *peer_of(const struct pki *p)
{
	struct pki_text d = pki_cert_der(p);
	struct cert_der der = {(const uint8_t *)d.data, d.len};
	struct err err;
	struct cert_peer *peer = cert_verify(trust, &der, 1, PKI_NOW_US, &err);

	assert_non_null(peer);
	pki_text_free(&d);
	return peer;
}

static int setup(void **state)
{
	struct err err = {{0}};

	(void)state;
	root = pki_ca("CN=Root");
	struct pki_text pem = pki_cert_pem(&root);
	trust = cert_trust_new();
	assert_int_equal(cert_trust_add_ca(trust, pem.data, pem.len, &err), 0);
	pki_text_free(&pem);
	for (size_t i = 0; i < ARRAY_LEN(sides); i++) {
		struct pki other = pki_leaf(&root, sides[i].kind, "CN=other", NULL);
		sides[i].pki = pki_leaf(&root, sides[i].kind, "CN=leaf", NULL);
		sides[i].own = own_of(&sides[i].pki, &err);
		if (!sides[i].own)
			fail_msg("%s", err.text);
		sides[i].peer = peer_of(&sides[i].pki);
		sides[i].other = peer_of(&other);
		pki_free(&other);
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sides); i++) {
		pki_free(&sides[i].pki);
		cert_own_free(sides[i].own);
		cert_peer_free(sides[i].peer);
		cert_peer_free(sides[i].other);
	}
	cert_trust_free(trust);
	pki_free(&root);
	return 0;
}

/* --- making and verifying */

struct made {
	uint8_t method, auth[CERT_SIGNATURE_MAX];
	size_t len;
};

static int make(const struct cert_own *o, uint32_t hashes, bool pss, struct made *m,
		struct err *err)
{
	return cert_sign(o, hashes, pss, parts, ARRAY_LEN(parts), &m->method, m->auth, &m->len,
			 err);
}

static bool check(const struct cert_peer *p, const struct made *m, uint32_t allowed)
{
	/* Of exactly its size, for the sanitizer. */
	uint8_t *auth = vector_exact(m->auth, m->len);
	struct err err = {{0}};
	bool ok =
	    cert_peer_verify(p, m->method, auth, m->len, allowed, parts, ARRAY_LEN(parts), &err);

	free(auth);
	if (!ok && !strstr(err.text, "certificate CN="))
		fail_msg("\"%s\" does not say whose", err.text);
	return ok;
}

/* The same signature by OpenSSL's own way. */
static bool check_by_openssl(EVP_PKEY *key, const char *md, bool pss, const uint8_t *sig,
			     size_t len)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pctx;

	bool ok = EVP_DigestVerifyInit_ex(ctx, &pctx, md, NULL, NULL, key, NULL) == 1;
	if (ok && pss)
		ok = EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) == 1 &&
		     EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_DIGEST) == 1;
	ok = ok && EVP_DigestVerify(ctx, sig, len, (const uint8_t *)WHOLE, WHOLE_LEN) == 1;
	EVP_MD_CTX_free(ctx);
	return ok;
}

static const struct {
	enum pki_key kind;
	uint32_t hashes; /* announced */
	bool pss;
	uint8_t method;
	const char *id; /* AlgorithmIdentifier's start, with its length octet */
	const char *md; /* OpenSSL's name; NULL: Ed25519, or the old methods */
	uint32_t used;	/* of the hashes */
	size_t len;	/* of the old methods' signature */
} kinds[] = {
    {PKI_RSA2048, CERT_HASHES_ALL, false, 14, "0f 300d 06092a864886f70d01010b 0500", "SHA256",
     CERT_HASH_SHA256, 0},
    {PKI_RSA2048, CERT_HASH_SHA384, false, 14, "0f 300d 06092a864886f70d01010c 0500", "SHA384",
     CERT_HASH_SHA384, 0},
    {PKI_RSA2048, CERT_HASH_SHA512 | 2, false, 14, "0f 300d 06092a864886f70d01010d 0500", "SHA512",
     CERT_HASH_SHA512, 0},
    {PKI_RSA2048, CERT_HASHES_ALL, true, 14,
     "43 3041 06092a864886f70d01010a 3034 a00f 300d 0609608648016503040201 0500"
     "a11c 301a 06092a864886f70d010108 300d 0609608648016503040201 0500 a203020120",
     "SHA256", CERT_HASH_SHA256, 0},
    {PKI_RSA2048, CERT_HASH_SHA384, true, 14,
     "43 3041 06092a864886f70d01010a 3034 a00f 300d 0609608648016503040202 0500"
     "a11c 301a 06092a864886f70d010108 300d 0609608648016503040202 0500 a203020130",
     "SHA384", CERT_HASH_SHA384, 0},
    {PKI_RSA_PSS, CERT_HASH_SHA512, false, 14,
     "43 3041 06092a864886f70d01010a 3034 a00f 300d 0609608648016503040203 0500"
     "a11c 301a 06092a864886f70d010108 300d 0609608648016503040203 0500 a203020140",
     "SHA512", CERT_HASH_SHA512, 0},
    {PKI_P256, CERT_HASHES_ALL, false, 14, "0c 300a 06082a8648ce3d040302", "SHA256",
     CERT_HASH_SHA256, 0},
    {PKI_P256, CERT_HASH_SHA512, true, 14, "0c 300a 06082a8648ce3d040304", "SHA512",
     CERT_HASH_SHA512, 0},
    {PKI_P384, CERT_HASHES_ALL, false, 14, "0c 300a 06082a8648ce3d040303", "SHA384",
     CERT_HASH_SHA384, 0},
    {PKI_P521, CERT_HASHES_ALL, false, 14, "0c 300a 06082a8648ce3d040304", "SHA512",
     CERT_HASH_SHA512, 0},
    {PKI_P521, CERT_HASH_SHA256, false, 14, "0c 300a 06082a8648ce3d040302", "SHA256",
     CERT_HASH_SHA256, 0},
    {PKI_ED25519, CERT_HASHES_ALL, true, 14, "07 3005 06032b6570", NULL, CERT_HASH_IDENTITY, 0},
    {PKI_P256, 0, false, 9, "", NULL, 0, 64},
    {PKI_P384, 0, false, 10, "", NULL, 0, 96},
    {PKI_P521, 0, false, 11, "", NULL, 0, 132},
    /* It announced hashes, none that we make: the old way remains. */
    {PKI_P256, 1u << 1, false, 9, "", NULL, 0, 64},
};

static const struct side *side_of(enum pki_key kind)
{
	for (size_t i = 0; i < ARRAY_LEN(sides); i++)
		if (sides[i].kind == kind)
			return &sides[i];
	fail();
	return NULL;
}

/* Nothing that was changed is believed. */
static void expect_refusals(const struct side *s, const struct made *good, uint32_t used)
{
	struct made m = *good;
	struct err err;
	bool old = good->method != CERT_AUTH_DIGITAL_SIGNATURE;

	assert_false(check(s->other, good, CERT_HASHES_ALL)); /* another key */
	if (!old)
		assert_false(check(s->peer, good, CERT_HASHES_ALL & ~used));
	assert_false(cert_peer_verify(s->peer, m.method, m.auth, m.len, CERT_HASHES_ALL, others,
				      ARRAY_LEN(others), &err));
	for (unsigned method = 0; method < 256; method++) {
		m.method = (uint8_t)method;
		if (method != good->method)
			assert_false(check(s->peer, &m, CERT_HASHES_ALL));
	}
	m.method = good->method;
	for (m.len = 0; m.len < good->len; m.len++)
		assert_false(check(s->peer, &m, CERT_HASHES_ALL));
	m.len = good->len + 1;
	m.auth[good->len] = 0;
	assert_false(check(s->peer, &m, CERT_HASHES_ALL));
	m.len = good->len;
	for (size_t n = 0; n < good->len; n++) {
		m.auth[n] = (uint8_t)(good->auth[n] ^ 1u << n % 8);
		if (check(s->peer, &m, CERT_HASHES_ALL))
			fail_msg("octet %zu of %zu", n, good->len);
		m.auth[n] = good->auth[n];
	}
	for (size_t i = 0; i < ARRAY_LEN(sides); i++)
		if (&sides[i] != s)
			assert_false(check(sides[i].peer, good, CERT_HASHES_ALL));
}

static void test_every_kind(void **state)
{
	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(kinds); n++) {
		const struct side *s = side_of(kinds[n].kind);
		struct made m = {0};
		struct err err = {{0}};
		if (make(s->own, kinds[n].hashes, kinds[n].pss, &m, &err) < 0)
			fail_msg("row %zu: %s", n, err.text);
		assert_int_equal(m.method, kinds[n].method);
		struct vector id = vector_of(kinds[n].id);
		assert_true(m.len > id.len);
		assert_memory_equal(m.auth, id.b, id.len);
		if (kinds[n].len)
			assert_int_equal(m.len, kinds[n].len);
		assert_true(check(s->peer, &m, CERT_HASHES_ALL));
		uint8_t seed[2 + CERT_SIGNATURE_MAX] = {202, m.method};
		char name[32];
		memcpy(seed + 2, m.auth, m.len);
		snprintf(name, sizeof(name), "auth-%zu", n);
		vector_save("identity", name, seed, m.len + 2);
		if (kinds[n].used)
			assert_true(check(s->peer, &m, kinds[n].used));
		if (m.method == 14) {
			bool pss = kinds[n].kind == PKI_RSA_PSS ||
				   (kinds[n].kind == PKI_RSA2048 && kinds[n].pss);
			assert_true(check_by_openssl(s->pki.key, kinds[n].md, pss, m.auth + id.len,
						     m.len - id.len));
		}
		expect_refusals(s, &m, kinds[n].used);
	}
}

/* --- vectors of the RFCs */

/* A certificate of our root for a public key (SubjectPublicKeyInfo) whose private key is not ours.
 */
static struct cert_peer *peer_with_key(struct vector *spki)
{
	const uint8_t *at = spki->b;
	EVP_PKEY *key = d2i_PUBKEY(NULL, &at, (long)spki->len);
	struct pki leaf = pki_leaf(&root, PKI_P256, "CN=leaf", NULL);

	assert_non_null(key);
	assert_int_equal(X509_set_pubkey(leaf.cert, key), 1);
	assert_true(X509_sign(leaf.cert, root.key, EVP_sha256()) > 0);
	struct cert_peer *peer = peer_of(&leaf);
	EVP_PKEY_free(key);
	pki_free(&leaf);
	return peer;
}

/* RFC 4754 8.1 to 8.3 (r and s as the AUTH payload has them, 7) and RFC 8032 7.1 test 3 (as
 * method 14 has it, RFC 8420 2). */
static void test_vectors(void **state)
{
	static const struct {
		uint8_t method;
		const char *message, *spki, *auth;
	} rows[] = {
	    {CERT_AUTH_ECDSA_256, "616263",
	     "3059301306072a8648ce3d020106082a8648ce3d030107034200 04"
	     "2442A5CC0ECD015FA3CA31DC8E2BBC70BF42D60CBCA20085E0822CB04235E970"
	     "6FC98BD7E50211A4A27102FA3549DF79EBCB4BF246B80945CDDFE7D509BBFD7D",
	     "CB28E0999B9C7715FD0A80D8E47A77079716CBBF917DD72E97566EA1C066957C"
	     "86FA3BB4E26CAD5BF90B7F81899256CE7594BB1EA0C89212748BFF3B3D5B0315"},
	    {CERT_AUTH_ECDSA_384, "616263",
	     "3076301006072a8648ce3d020106052b81040022036200 04"
	     "96281BF8DD5E0525CA049C048D345D3082968D10FEDF5C5ACA0C64E6465A97EA"
	     "5CE10C9DFEC2179741571072 1F437922"
	     "447688BA94708EB6E2E4D59F6AB6D7EDFF9301D249FE49C33096655F5D502FAD"
	     "3D383B91C5E7EDAA2B714CC99D5743CA",
	     "FB017B914E29149432D8BAC29A514640B46F53DDAB2C69948084E2930F1C8F7E"
	     "08E07C9C63F2D21A07DCB56A6AF56EB3"
	     "B263A1305E057F984D38726A1B46874109F417BCA112674C528262A40A629AF1"
	     "CBB9F516CE0FA7D2FF630863A00E8B9F"},
	    {CERT_AUTH_ECDSA_521, "616263",
	     "30819b301006072a8648ce3d020106052b8104002303818600 04"
	     "0151518F1AF0F563517EDD5485190DF95A4BF57B5CBA4CF2A9A3F6474725A35F"
	     "7AFE0A6DDEB8BEDBCD6A197E592D40188901CECD650699C9B5E456AEA5ADD190"
	     "52A8"
	     "006F3B142EA1BFFF7E2837AD44C9E4FF6D2D34C73184BBAD90026DD5E6E85317"
	     "D9DF45CAD7803C6C20035B2F3FF63AFF4E1BA64D1C077577DA3F4286C58F0AEA"
	     "E643",
	     "0154FD3836AF92D0DCA57DD5341D3053988534FDE8318FC6AAAAB68E2E6F4339"
	     "B19F2F281A7E0B22C269D93CF8794A9278880ED7DBB8D9362CAEACEE54432055"
	     "2251"
	     "017705A7030290D1CEB605A9A1BB03FF9CDD521E87A696EC926C8C10C8362DF4"
	     "975367101F67D1CF9BCCBF2F3D239534FA509E70AAC851AE01AAC68D62F86647"
	     "2660"},
	    {CERT_AUTH_DIGITAL_SIGNATURE, "af82",
	     "302a300506032b6570032100"
	     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
	     "07 3005 06032b6570"
	     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
	     "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"},
	};

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
		struct vector spki = vector_of(rows[n].spki), auth = vector_of(rows[n].auth),
			      message = vector_of(rows[n].message);
		struct cert_peer *peer = peer_with_key(&spki);
		/* In two parts, as the AUTH payload's octets come in several. */
		struct chunk said[] = {{message.b, 1}, {message.b + 1, message.len - 1}};
		struct err err = {{0}};
		if (!cert_peer_verify(peer, rows[n].method, auth.b, auth.len, CERT_HASHES_ALL, said,
				      ARRAY_LEN(said), &err))
			fail_msg("row %zu: %s", n, err.text);
		message.b[0] ^= 1;
		assert_false(cert_peer_verify(peer, rows[n].method, auth.b, auth.len,
					      CERT_HASHES_ALL, said, ARRAY_LEN(said), &err));
		cert_peer_free(peer);
	}
}

/* Keys whose kind has no method that the peer knows. */
static void test_nothing_in_common(void **state)
{
	static const struct {
		enum pki_key kind;
		uint32_t hashes;
		const char *says;
	} rows[] = {
	    {PKI_RSA2048, 0, "our key is RSA"},
	    {PKI_RSA2048, CERT_HASH_IDENTITY, "our key is RSA"},
	    {PKI_RSA2048, 1u << 1, "our key is RSA"}, /* SHA-1 */
	    {PKI_RSA_PSS, 0, "our key is RSA-PSS"},
	    {PKI_ED25519, 0, "our key is Ed25519"},
	    {PKI_ED25519, CERT_HASH_SHA256, "our key is Ed25519"},
	};

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
		struct made m;
		struct err err = {{0}};
		assert_int_equal(make(side_of(rows[n].kind)->own, rows[n].hashes, false, &m, &err),
				 -1);
		assert_non_null(strstr(err.text, rows[n].says));
	}
}

static void test_sha1_never(void **state)
{
	const struct side *s = side_of(PKI_RSA2048);
	struct made m = {.method = CERT_AUTH_RSA_SHA1};
	size_t len = sizeof(m.auth);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	struct err err = {{0}};

	(void)state;
	assert_int_equal(EVP_DigestSignInit_ex(ctx, NULL, "SHA1", NULL, NULL, s->pki.key, NULL), 1);
	assert_int_equal(EVP_DigestSign(ctx, m.auth, &len, (const uint8_t *)WHOLE, WHOLE_LEN), 1);
	EVP_MD_CTX_free(ctx);
	m.len = len;
	assert_false(
	    cert_peer_verify(s->peer, m.method, m.auth, m.len, ~0u, parts, ARRAY_LEN(parts), &err));
	assert_non_null(strstr(err.text, "CN=leaf: it signed with RSA and SHA-1"));
	/* And as RFC 7427 would spell it. */
	struct vector id = vector_of("0f 300d 06092a864886f70d010105 0500");
	memmove(m.auth + id.len, m.auth, len);
	memcpy(m.auth, id.b, id.len);
	m.len = len + id.len;
	m.method = CERT_AUTH_DIGITAL_SIGNATURE;
	assert_false(check(s->peer, &m, ~0u));
}

/* --- RSASSA-PSS as others spell it */

static void sign_pss(EVP_PKEY *key, const char *md, const char *mgf_md, int salt_len,
		     struct made *m)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pctx;
	size_t len = sizeof(m->auth) - m->len;

	assert_int_equal(EVP_DigestSignInit_ex(ctx, &pctx, md, NULL, NULL, key, NULL), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_mgf1_md_name(pctx, mgf_md, NULL), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, salt_len), 1);
	assert_int_equal(
	    EVP_DigestSign(ctx, m->auth + m->len, &len, (const uint8_t *)WHOLE, WHOLE_LEN), 1);
	EVP_MD_CTX_free(ctx);
	m->len += len;
}

#define PSS_OID	  "06092a864886f70d01010a"
#define MGF1_OID  "06092a864886f70d010108"
#define SHA1_OID  "06052b0e03021a"
#define SHA256_ID "300d 0609608648016503040201 0500"
#define SHA384_ID "300d 0609608648016503040202 0500"

static void test_pss_spellings(void **state)
{
	static const struct {
		const char *id, *md, *mgf_md;
		int salt_len;
		bool good;
	} rows[] = {
	    {"43 3041" PSS_OID "3034 a00f" SHA256_ID "a11c 301a" MGF1_OID SHA256_ID "a203020120",
	     "SHA256", "SHA256", 32, true},
	    /* the trailer field, said */
	    {"48 3046" PSS_OID "3039 a00f" SHA256_ID "a11c 301a" MGF1_OID SHA256_ID
	     "a203020120 a303020101",
	     "SHA256", "SHA256", 32, true},
	    {"48 3046" PSS_OID "3039 a00f" SHA256_ID "a11c 301a" MGF1_OID SHA256_ID
	     "a203020120 a303020102",
	     "SHA256", "SHA256", 32, false},
	    /* no NULL behind the digests */
	    {"3f 303d" PSS_OID "3030 a00d 300b 0609608648016503040201"
	     "a11a 3018" MGF1_OID "300b 0609608648016503040201 a203020120",
	     "SHA256", "SHA256", 32, true},
	    /* 20 octets of salt, the default */
	    {"3e 303c" PSS_OID "302f a00f" SHA256_ID "a11c 301a" MGF1_OID SHA256_ID, "SHA256",
	     "SHA256", 20, true},
	    {"43 3041" PSS_OID "3034 a00f" SHA256_ID "a11c 301a" MGF1_OID SHA256_ID "a203020100",
	     "SHA256", "SHA256", 0, true},
	    /* not the salt that is there */
	    {"43 3041" PSS_OID "3034 a00f" SHA256_ID "a11c 301a" MGF1_OID SHA256_ID "a203020121",
	     "SHA256", "SHA256", 32, false},
	    {"43 3041" PSS_OID "3034 a00f" SHA256_ID "a11c 301a" MGF1_OID SHA256_ID "a2030201e0",
	     "SHA256", "SHA256", 32, false},
	    {"44 3042" PSS_OID "3035 a00f" SHA256_ID "a11c 301a" MGF1_OID SHA256_ID "a20402020020",
	     "SHA256", "SHA256", 32, false},
	    /* two digests */
	    {"43 3041" PSS_OID "3034 a00f" SHA256_ID "a11c 301a" MGF1_OID SHA384_ID "a203020120",
	     "SHA256", "SHA384", 32, false},
	    /* SHA-1, said and by default */
	    {"0f 300d" PSS_OID "3000", "SHA1", "SHA1", 20, false},
	    {"0d 300b" PSS_OID, "SHA1", "SHA1", 20, false},
	    {"0f 300d" PSS_OID "0500", "SHA1", "SHA1", 20, false},
	    {"33 3031" PSS_OID "3024 a009 3007" SHA1_OID "a116 3014" MGF1_OID "3007" SHA1_OID,
	     "SHA1", "SHA1", 20, false},
	    {"22 3020" PSS_OID "3013 a111 300f" MGF1_OID "300d", "SHA256", "SHA256", 20, false},
	    /* something behind */
	    {"45 3043" PSS_OID "3034 a00f" SHA256_ID "a11c 301a" MGF1_OID SHA256_ID
	     "a203020120 0500",
	     "SHA256", "SHA256", 32, false},
	    {"45 3041" PSS_OID "3034 a00f" SHA256_ID "a11c 301a" MGF1_OID SHA256_ID
	     "a203020120 0500",
	     "SHA256", "SHA256", 32, false},
	};
	const struct side *s = side_of(PKI_RSA2048);

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
		struct made m = {.method = CERT_AUTH_DIGITAL_SIGNATURE};
		struct vector id = vector_of(rows[n].id);
		memcpy(m.auth, id.b, id.len);
		m.len = id.len;
		sign_pss(s->pki.key, rows[n].md, rows[n].mgf_md, rows[n].salt_len, &m);
		if (check(s->peer, &m, ~0u) != rows[n].good)
			fail_msg("row %zu", n);
	}
}

/* --- what proves us */

static void expect_own(const struct pki_text *cert, const struct pki_text *key, const char *says,
		       int line)
{
	struct err err = {{0}};
	struct cert_own *o = cert_own_new(cert->data, cert->len, key->data, key->len, &err);

	if ((o != NULL) != (says == NULL) || (says && !strstr(err.text, says)))
		fail_msg("line %d: \"%s\", not \"%s\"", line, err.text, says ? says : "taken");
	cert_own_free(o);
}
#define EXPECT_OWN(cert, key, says) expect_own(cert, key, says, __LINE__)

static void test_own_keys_refused(void **state)
{
	struct pki *p = &sides[0].pki;
	struct pki rsa1024 = pki_leaf(&root, PKI_RSA1024, "CN=weak", NULL);
	struct pki k1 = pki_leaf(&root, PKI_SECP256K1, "CN=koblitz", NULL);
	struct pki_text cert = pki_cert_pem(p), key = pki_key_pem(p), nothing = {0};
	struct pki_text other = pki_key_pem(&sides[1].pki), same_kind = pki_key_pem(&root);
	struct pki_text locked = pki_key_pem_with(p, "secret");
	struct pki_text weak = pki_cert_pem(&rsa1024), weak_key = pki_key_pem(&rsa1024);
	struct pki_text odd = pki_cert_pem(&k1), odd_key = pki_key_pem(&k1);

	(void)state;
	EXPECT_OWN(&cert, &key, NULL);
	EXPECT_OWN(&cert, &other, "the private key is not that of certificate CN=leaf");
	EXPECT_OWN(&cert, &same_kind, "the private key is not that of certificate CN=leaf");
	EXPECT_OWN(&cert, &locked, "not encrypted");
	EXPECT_OWN(&cert, &cert, "cannot be read");
	EXPECT_OWN(&cert, &nothing, "empty");
	EXPECT_OWN(&nothing, &key, "no certificate");
	EXPECT_OWN(&key, &key, "no certificate");
	EXPECT_OWN(&weak, &weak_key, "certificate CN=weak: its key is RSA with 1024 bits");
	EXPECT_OWN(&odd, &odd_key, "certificate CN=koblitz: its key's curve is secp256k1");
	pki_text_free(&cert);
	pki_text_free(&key);
	pki_text_free(&other);
	pki_text_free(&same_kind);
	pki_text_free(&locked);
	pki_text_free(&weak);
	pki_text_free(&weak_key);
	pki_text_free(&odd);
	pki_text_free(&odd_key);
	pki_free(&rsa1024);
	pki_free(&k1);
}

static void test_own_forms(void **state)
{
	const struct side *s = &sides[0];
	struct pki_text der = pki_cert_der(&s->pki), pem = pki_cert_pem(&s->pki);
	struct pki_text all = {0}, key;
	struct err err;
	unsigned char *key_der = NULL;
	int len = i2d_PrivateKey(s->pki.key, &key_der);

	(void)state;
	assert_true(len > 0);
	struct cert_own *o = cert_own_new(der.data, der.len, key_der, (size_t)len, &err);
	assert_non_null(o);
	cert_own_free(o);
	OPENSSL_free(key_der);

	/* As "openssl ecparam -genkey" writes it, the parameters first. */
	BIO *bio = BIO_new(BIO_s_mem());
	assert_int_equal(PEM_write_bio_Parameters(bio, s->pki.key), 1);
	assert_int_equal(
	    PEM_write_bio_PrivateKey_traditional(bio, s->pki.key, NULL, NULL, 0, NULL, NULL), 1);
	key = pki_text_of(bio);
	assert_non_null(strstr(key.data, "EC PARAMETERS"));
	EXPECT_OWN(&pem, &key, NULL);

	for (unsigned n = 0; n <= CERT_CHAIN_MAX; n++)
		pki_text_add(&all, &pem);
	EXPECT_OWN(&all, &key, "9 certificates: at most 8");
	pki_text_free(&key);
	pki_text_free(&all);
	pki_text_free(&pem);
	pki_text_free(&der);
}

static void test_own_chain(void **state)
{
	struct pki middle = pki_intermediate(&root, "CN=Middle");
	struct pki leaf = pki_leaf(&middle, PKI_P256, "O=Test, CN=leaf", NULL);
	struct pki_text all = pki_cert_pem(&leaf), more = pki_cert_pem(&middle);
	struct pki_text key = pki_key_pem(&leaf), want = pki_cert_der(&middle);
	struct identity *name = identity_parse("O=Test, CN=leaf", NULL);
	struct err err;
	size_t len;

	(void)state;
	pki_text_add(&all, &more);
	struct cert_own *o = cert_own_new(all.data, all.len, key.data, key.len, &err);
	assert_non_null(o);
	assert_non_null(cert_own_der(o, 0, &len));
	const uint8_t *der = cert_own_der(o, 1, &len);
	assert_int_equal(len, want.len);
	assert_memory_equal(der, want.data, len);
	assert_null(cert_own_der(o, 2, &len));
	assert_null(cert_own_der(o, ~0u, &len));
	assert_false(cert_own_is_rsa(o));
	assert_true(cert_own_is_rsa(side_of(PKI_RSA2048)->own));
	assert_true(cert_own_is_rsa(side_of(PKI_RSA_PSS)->own));
	struct identity *subject = cert_own_subject(o);
	assert_true(identity_equal(subject, name));
	assert_true(cert_own_has_identity(o, subject));
	free(subject);
	free(name);
	cert_own_free(o);
	pki_text_free(&all);
	pki_text_free(&more);
	pki_text_free(&key);
	pki_text_free(&want);
	pki_free(&leaf);
	pki_free(&middle);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_kind),	     cmocka_unit_test(test_nothing_in_common),
	    cmocka_unit_test(test_sha1_never),	     cmocka_unit_test(test_pss_spellings),
	    cmocka_unit_test(test_own_keys_refused), cmocka_unit_test(test_own_forms),
	    cmocka_unit_test(test_own_chain),	     cmocka_unit_test(test_vectors),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
