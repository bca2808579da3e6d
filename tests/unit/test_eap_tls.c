/* SPDX-License-Identifier: MIT */
/*
 * EAP-TLS: both sides against each other with either version of TLS, with certificates of every
 * fault, and against packets of nobody.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/kdf.h>
#include <seccomp.h>
#include "crypto/warm.h"
#include "eap_rig.h"
#include "vectors.h"

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

#define EACH_VERSION(r)                                                                            \
	for (size_t v_ = 0; v_ < ARRAY_LEN(versions) && (rig_use_tls((r), versions[v_]), true);    \
	     v_++)

static void expect_success(struct eap_rig *r, const char *user)
{
	uint8_t a[EAP_MSK_LEN], b[EAP_MSK_LEN], zero[EAP_MSK_LEN] = {0};

	rig_run(r);
	if (r->server_status != EAP_SUCCESS || r->client_status != EAP_SUCCESS)
		print_error("server \"%s\", client \"%s\"\n", eap_reason(r->s), eap_reason(r->c));
	assert_int_equal(r->server_status, EAP_SUCCESS);
	assert_int_equal(r->client_status, EAP_SUCCESS);
	assert_true(eap_msk(r->s, a));
	assert_true(eap_msk(r->c, b));
	assert_memory_equal(a, b, sizeof(a));
	assert_memory_not_equal(a, zero, sizeof(a));
	assert_string_equal(eap_identity(r->s), user);
	assert_int_equal(ERR_peek_error(), 0);
}

/* The client always hears EAP-Failure from a server that ended in order. */
static void expect_failure(struct eap_rig *r, const char *server, const char *client)
{
	uint8_t msk[EAP_MSK_LEN];

	rig_run(r);
	assert_int_equal(r->server_status, EAP_FAILURE);
	assert_int_equal(r->client_status, EAP_FAILURE);
	assert_false(eap_msk(r->s, msk));
	assert_false(eap_msk(r->c, msk));
	if (!strstr(eap_reason(r->s), server) || !strstr(eap_reason(r->c), client))
		print_error("server \"%s\", client \"%s\"\n", eap_reason(r->s), eap_reason(r->c));
	assert_non_null(strstr(eap_reason(r->s), server));
	assert_non_null(strstr(eap_reason(r->c), client));
	assert_int_equal(r->wire[r->wire_count - 1].data[0], EAP_CODE_FAILURE);
	assert_int_equal(ERR_peek_error(), 0);
}

/* --- the keys, computed from TLS's own secrets */

static struct {
	uint8_t secret[64], client_random[32];
	size_t len;
} told;

static void key_log(const SSL *ssl, const char *line)
{
	char what[32], random[65], secret[129];

	(void)ssl;
	assert_int_equal(sscanf(line, "%31s %64s %128s", what, random, secret), 3);
	if (strcmp(what, "CLIENT_RANDOM") && strcmp(what, "EXPORTER_SECRET"))
		return;
	struct vector r = vector_of(random), s = vector_of(secret);
	memcpy(told.client_random, r.b, 32);
	memcpy(told.secret, s.b, s.len);
	told.len = s.len;
}

static void derive(const char *kdf_name, OSSL_PARAM *params, uint8_t *out, size_t len)
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, kdf_name, NULL);
	EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
	assert_int_equal(EVP_KDF_derive(ctx, out, len, params), 1);
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
}

/* RFC 8446 7.1 HKDF-Expand-Label. */
static void expand_label(const char *hash, const uint8_t *secret, size_t secret_len,
			 const char *label, const uint8_t *context, size_t context_len,
			 uint8_t *out, size_t len)
{
	uint8_t what[256];
	struct writer w = writer_of(what, sizeof(what));
	int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;

	writer_u16(&w, (uint16_t)len);
	writer_u8(&w, (uint8_t)(6 + strlen(label)));
	writer_bytes(&w, "tls13 ", 6);
	writer_bytes(&w, label, strlen(label));
	writer_u8(&w, (uint8_t)context_len);
	writer_bytes(&w, context, context_len);
	OSSL_PARAM params[] = {
	    OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
	    OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)(uintptr_t)hash, 0),
	    OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)secret,
					      secret_len),
	    OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, what, writer_len(&w)),
	    OSSL_PARAM_END};
	derive("HKDF", params, out, len);
}

/* RFC 9190 2.3: TLS-Exporter("EXPORTER_EAP_TLS_Key_Material", Type, 128), type 0x0D. */
static void expect_key_1_3(const uint8_t msk[EAP_MSK_LEN])
{
	const char *hash = told.len == 48 ? "SHA384" : "SHA256";
	const EVP_MD *md = EVP_get_digestbyname(hash);
	uint8_t empty[64], context[64], secret[64], key[128];

	assert_int_equal(EVP_Digest("", 0, empty, NULL, md, NULL), 1);
	assert_int_equal(EVP_Digest("\x0d", 1, context, NULL, md, NULL), 1);
	expand_label(hash, told.secret, told.len, "EXPORTER_EAP_TLS_Key_Material", empty, told.len,
		     secret, told.len);
	expand_label(hash, secret, told.len, "exporter", context, told.len, key, sizeof(key));
	assert_memory_equal(key, msk, EAP_MSK_LEN);
}

/* RFC 5216 2.3: PRF(master_secret, "client EAP encryption", client_random | server_random). */
static void expect_key_1_2(const struct eap_rig *r, const uint8_t msk[EAP_MSK_LEN])
{
	/* the ServerHello is the first record of the first packet that has one */
	const uint8_t *hello = NULL;
	for (unsigned n = 4; !hello && n < r->wire_count; n += 2) {
		const uint8_t *p = r->wire[n].data + 6 + (r->wire[n].data[5] & 0x80 ? 4 : 0);
		if (r->wire[n].len > 100 && p[0] == 22 && p[5] == 2)
			hello = p + 11;
	}
	assert_non_null(hello);
	for (unsigned i = 0; i < 2; i++) {
		uint8_t seed[21 + 64], key[128];
		const char *hash = i ? "SHA384" : "SHA256";
		memcpy(seed, "client EAP encryption", 21);
		memcpy(seed + 21, told.client_random, 32);
		memcpy(seed + 53, hello, 32);
		OSSL_PARAM params[] = {
		    OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)(uintptr_t)hash,
						     0),
		    OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SECRET, told.secret, told.len),
		    OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, seed, sizeof(seed)),
		    OSSL_PARAM_END};
		derive("TLS1-PRF", params, key, sizeof(key));
		if (!memcmp(key, msk, EAP_MSK_LEN))
			return;
	}
	fail_msg("the MSK is not RFC 5216's");
}

static void test_keys_are_those_of_the_rfcs(void **state)
{
	struct eap_rig *r = *state;
	uint8_t msk[EAP_MSK_LEN];

	SSL_CTX_set_keylog_callback(eap_tls_context(r->client_tls), key_log);
	EACH_VERSION(r)
	{
		expect_success(r, RIG_USER);
		assert_true(eap_msk(r->c, msk));
		if (versions[v_] == TLS1_3_VERSION)
			expect_key_1_3(msk);
		else
			expect_key_1_2(r, msk);
	}
}

/* --- who is believed */

static void test_users_names(void **state)
{
	struct eap_rig *r = *state;
	static const struct {
		const char *subject, *san, *claimed, *allowed;
		bool good;
	} cases[] = {
	    {"CN=alice", "email:alice@example.org", "anonymous", "alice@example.org", true},
	    {"CN=alice", "email:alice@example.org", "", "alice@example.org", true},
	    {"CN=alice", "DNS:a.example.org,DNS:b.example.org", "x", "b.example.org", true},
	    {"CN=alice", NULL, "x", "alice", true},
	    {"CN=alice", NULL, "alice", "alice", true},
	    {"CN=alice", NULL, "CN=alice", "CN=alice", true},
	    {"C=CH, CN=alice", NULL, "x", "C=CH, CN=alice", true},
	    {"C=CH, CN=alice", NULL, "C=CH,CN=alice", "C=CH,CN=alice", true},
	    {"CN=alice", "IP:192.0.2.1", "192.0.2.1", "192.0.2.1", true},
	    /* what is claimed is nothing, unless the certificate has it too */
	    {"CN=alice", NULL, "bob", "bob", false},
	    {"CN=alice", "email:alice@example.org", "bob@example.org", "bob@example.org", false},
	    {"CN=alice", "email:alice@example.org", "%any", "%any", false},
	    {"CN=alice", NULL, "CN=*", "CN=*", false},
	    /* a common name beside better ones is no name */
	    {"CN=alice", "email:bob@example.org", "alice", "alice", false},
	    /* a wildcard of the certificate is no user's */
	    {"CN=x", "DNS:*.example.org", "a.example.org", "a.example.org", false},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		rig_set_client(r, pki_leaf(&r->ca, PKI_P256, cases[i].subject, cases[i].san),
			       &r->ca);
		rig_use_tls(r, versions[i % 2]);
		r->client.identity = cases[i].claimed;
		r->users[0][0] = cases[i].allowed;
		r->users[0][1] = "";
		if (cases[i].good)
			expect_success(r, cases[i].allowed);
		else
			expect_failure(r, "none of its names is a user's", "TLS says");
	}
	/* two names of a certificate are users: the claimed one it is */
	rig_set_client(
	    r, pki_leaf(&r->ca, PKI_P256, "CN=x", "email:a@example.org,email:b@example.org"),
	    &r->ca);
	r->users[0][0] = "a@example.org";
	r->users[1][0] = "b@example.org";
	r->users[1][1] = "";
	r->client.identity = "b@example.org";
	EACH_VERSION(r)
	{
		expect_success(r, "b@example.org");
		assert_int_equal(r->asked_count, 1);
	}
	r->client.identity = "c@example.org";
	expect_success(r, "a@example.org");
}

static void test_servers_name(void **state)
{
	struct eap_rig *r = *state;
	EACH_VERSION(r)
	{
		r->client.server_name = "server.example.org";
		expect_success(r, RIG_USER);
		r->client.server_name = "other.example.org";
		expect_failure(r, "TLS says", "does not name \"other.example.org\"");
		r->client.server_name = "*.example.org";
		expect_failure(r, "TLS says", "does not name");
		r->client.server_name = "%any";
		expect_failure(r, "TLS says", "does not name");
	}
}

static void test_wrong_cas(void **state)
{
	struct eap_rig *r = *state;
	struct pki other = pki_ca("C=CH, O=Other, CN=CA");
	/* of the same name, which is not the same */
	struct pki twin = pki_ca("C=CH, O=Test, CN=CA");

	EACH_VERSION(r)
	{
		rig_set_client(r, pki_leaf(&other, PKI_P256, "CN=alice", "email:" RIG_USER),
			       &r->ca);
		expect_failure(r, "no CA that we believe", "TLS says");
		assert_int_equal(r->asked_count, 0);
		rig_set_client(r, pki_leaf(&twin, PKI_P256, "CN=alice", "email:" RIG_USER), &r->ca);
		expect_failure(r, "certificate CN=alice", "TLS says");
		rig_set_client(r, pki_leaf(&r->ca, PKI_P256, "CN=alice", "email:" RIG_USER),
			       &other);
		expect_failure(r, "TLS says", "no CA that we believe");
		rig_set_client(r, pki_leaf(&r->ca, PKI_P256, "CN=alice", "email:" RIG_USER),
			       &r->ca);
		expect_success(r, RIG_USER);
	}
	pki_free(&other);
	pki_free(&twin);
}

static void test_times(void **state)
{
	struct eap_rig *r = *state;
	struct pki_spec s = {.subject = "CN=alice",
			     .san = "email:" RIG_USER,
			     .key_usage = "critical,digitalSignature",
			     .not_before_s = -2 * PKI_DAY_S,
			     .not_after_s = -PKI_DAY_S};

	rig_set_client(r, pki_make(&s, &r->ca), &r->ca);
	EACH_VERSION(r)
	{
		expect_failure(r, "expired", "TLS says");
		r->server.wall_us = PKI_NOW_US - (uint64_t)(3 * PKI_DAY_S / 2) * USEC_PER_SEC;
		expect_failure(r, "certificate", "TLS says"); /* the CA's is not valid yet */
		r->server.wall_us = PKI_NOW_US;
	}
	s.not_after_s = 30 * PKI_DAY_S;
	rig_set_client(r, pki_make(&s, &r->ca), &r->ca);
	EACH_VERSION(r)
	{
		expect_success(r, RIG_USER);
		r->client.wall_us = PKI_NOW_US * 2;
		expect_failure(r, "TLS says", "expired");
		r->client.wall_us = 0;
		expect_failure(r, "TLS says", "not valid before");
		r->client.wall_us = PKI_NOW_US;
	}
}

static void test_purposes(void **state)
{
	struct eap_rig *r = *state;
	static const struct {
		const char *usage;
		bool server, client;
	} cases[] = {{"serverAuth", true, false},	    {"clientAuth", false, true},
		     {"serverAuth,clientAuth", true, true}, {"1.3.6.1.5.5.7.3.17", true, true},
		     {"anyExtendedKeyUsage", true, true},   {"emailProtection", false, false}};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct pki_spec s = {.subject = "CN=alice",
				     .san = "email:" RIG_USER,
				     .key_usage = "critical,digitalSignature",
				     .ext_key_usage = cases[i].usage};
		rig_set_client(r, pki_make(&s, &r->ca), &r->ca);
		rig_use_tls(r, versions[i % 2]);
		if (cases[i].client)
			expect_success(r, RIG_USER);
		else
			expect_failure(r, "extendedKeyUsage", "TLS says");
		rig_set_client(r, pki_leaf(&r->ca, PKI_P256, "CN=alice", "email:" RIG_USER),
			       &r->ca);
		rig_set_server(r, pki_make(&s, &r->ca), &r->ca);
		rig_use_tls(r, versions[i % 2]);
		if (cases[i].server)
			expect_success(r, RIG_USER);
		else
			expect_failure(r, "TLS says", "extendedKeyUsage");
		rig_set_server(r, pki_leaf(&r->ca, PKI_P256, "CN=server", NULL), &r->ca);
	}
}

static void test_revoked(void **state)
{
	struct eap_rig *r = *state;
	struct pki_text crl =
	    pki_crl_pem(&r->ca, &(struct pki_crl_spec){.revoked = {r->client_leaf.cert}});
	struct pki_text empty = pki_crl_pem(&r->ca, &(struct pki_crl_spec){0});

	eap_tls_require_crl(r->server_tls, true);
	EACH_VERSION(r)
	expect_failure(r, "CRL", "TLS says");
	assert_int_equal(eap_tls_add_crl(r->server_tls, empty.data, empty.len, NULL), 0);
	EACH_VERSION(r)
	expect_success(r, RIG_USER);
	assert_int_equal(eap_tls_add_crl(r->server_tls, crl.data, crl.len, NULL), 0);
	EACH_VERSION(r)
	expect_failure(r, "revoked", "TLS says");
	pki_text_free(&crl);
	pki_text_free(&empty);
}

static int drop_certificate(SSL *ssl, void *arg)
{
	(void)arg;
	SSL_certs_clear(ssl);
	return 1;
}

static void test_client_without_certificate(void **state)
{
	struct eap_rig *r = *state;
	SSL_CTX_set_cert_cb(eap_tls_context(r->client_tls), drop_certificate, NULL);
	EACH_VERSION(r)
	{
		expect_failure(r, "peer did not return a certificate", "TLS says");
		assert_int_equal(r->asked_count, 0);
	}
}

static void test_old_versions_and_ciphers(void **state)
{
	struct eap_rig *r = *state;
	SSL_CTX *c = eap_tls_context(r->client_tls);

	r->server.method = r->client.method = EAP_TLS;
	SSL_CTX_set_security_level(c, 0);
	assert_int_equal(SSL_CTX_set_min_proto_version(c, TLS1_VERSION), 1);
	assert_int_equal(SSL_CTX_set_max_proto_version(c, TLS1_1_VERSION), 1);
	assert_int_equal(SSL_CTX_set_cipher_list(c, "ALL:@SECLEVEL=0"), 1);
	expect_failure(r, "TLS: ", "TLS");
	assert_int_equal(SSL_CTX_set_max_proto_version(c, TLS1_2_VERSION), 1);
	assert_int_equal(SSL_CTX_set_cipher_list(c, "AES128-SHA:ECDHE-ECDSA-AES128-SHA"), 1);
	expect_failure(r, "no shared cipher", "TLS says");
}

static void test_material_that_does_not_fit(void **state)
{
	struct eap_rig *r = *state;
	struct pki_text cert = pki_cert_pem(&r->client_leaf), key = pki_key_pem(&r->client_leaf);
	struct pki_text ca = pki_cert_der(&r->ca), other = pki_key_pem(&r->server_leaf);
	struct pki_text der = pki_cert_der(&r->client_leaf);
	struct err err = {{0}};

	assert_null(
	    eap_tls_new(cert.data, cert.len, other.data, other.len, ca.data, ca.len, true, &err));
	assert_non_null(strstr(err.text, "private key is not that of"));
	assert_null(
	    eap_tls_new(cert.data, cert.len, key.data, key.len, cert.data, cert.len, true, &err));
	assert_non_null(strstr(err.text, "not a CA's"));
	assert_null(eap_tls_new("", 0, key.data, key.len, ca.data, ca.len, true, &err));
	assert_null(eap_tls_new(cert.data, cert.len, "", 0, ca.data, ca.len, true, &err));
	assert_null(eap_tls_new(cert.data, cert.len, key.data, key.len, "", 0, true, &err));
	assert_null(eap_tls_new("x", 1, "x", 1, "x", 1, false, NULL));
	struct eap_tls *t =
	    eap_tls_new(der.data, der.len, key.data, key.len, ca.data, ca.len, false, &err);
	assert_non_null(t);
	eap_tls_free(t);
	pki_text_free(&cert);
	pki_text_free(&key);
	pki_text_free(&ca);
	pki_text_free(&other);
	pki_text_free(&der);
	assert_int_equal(ERR_peek_error(), 0);
}

/* --- confined */

#define CHILD_FAILED 77

static void forbid_files(void)
{
	static const int calls[] = {SCMP_SYS(open),   SCMP_SYS(openat),	 SCMP_SYS(openat2),
				    SCMP_SYS(creat),  SCMP_SYS(stat),	 SCMP_SYS(newfstatat),
				    SCMP_SYS(access), SCMP_SYS(readlink)};
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
	bool ok = f != NULL;
	for (size_t i = 0; ok && i < ARRAY_LEN(calls); i++)
		ok = seccomp_rule_add(f, SCMP_ACT_KILL_PROCESS, calls[i], 0) == 0;
	if (!ok || seccomp_load(f) != 0)
		_exit(CHILD_FAILED);
	seccomp_release(f);
}

static void need_status(struct eap_rig *r, enum eap_status s)
{
	rig_run(r);
	if (r->server_status != s || r->client_status != s)
		_exit(CHILD_FAILED);
}

static void use_all(struct eap_rig *r, struct eap_tls *stranger)
{
	r->server.method = r->client.method = EAP_MSCHAPV2;
	need_status(r, EAP_SUCCESS);
	r->client.password = "another";
	need_status(r, EAP_FAILURE);
	EACH_VERSION(r)
	{
		r->client.tls = r->client_tls;
		need_status(r, EAP_SUCCESS);
		r->client.tls = stranger;
		need_status(r, EAP_FAILURE);
	}
}

/* The child's wait status. */
static int in_child(bool warm)
{
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		/* what the configuration makes comes first, as in the daemon */
		struct eap_rig *r = rig_new();
		struct pki ca = pki_ca("O=Other, CN=CA");
		struct pki leaf = pki_leaf(&ca, PKI_RSA2048, "CN=x", NULL);
		struct eap_tls *stranger = rig_tls(&leaf, &r->ca, false);
		if (warm) {
			crypto_warm_up();
			eap_warm_up();
		}
		forbid_files();
		use_all(r, stranger);
		_exit(0);
	}
	int status = 0;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void test_cold_process_opens_files(void **state)
{
	(void)state;
	int status = in_child(false);
	assert_true(WIFSIGNALED(status));
}

static void test_warm_process_opens_none(void **state)
{
	(void)state;
	int status = in_child(true);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static int set_up(void **state)
{
	*state = rig_new();
	return 0;
}

static int tear_down(void **state)
{
	rig_free(*state);
	return 0;
}

#define RIG_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    /* before anything here is warm */
	    cmocka_unit_test(test_cold_process_opens_files),
	    cmocka_unit_test(test_warm_process_opens_none),
	    RIG_TEST(test_keys_are_those_of_the_rfcs),
	    RIG_TEST(test_users_names),
	    RIG_TEST(test_servers_name),
	    RIG_TEST(test_wrong_cas),
	    RIG_TEST(test_times),
	    RIG_TEST(test_purposes),
	    RIG_TEST(test_revoked),
	    RIG_TEST(test_client_without_certificate),
	    RIG_TEST(test_old_versions_and_ciphers),
	    RIG_TEST(test_material_that_does_not_fit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
