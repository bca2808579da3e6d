/* SPDX-License-Identifier: MIT */
/* Revocation. */
#include "cert_rig.h"

static struct pki root, middle, stranger;

static int setup(void **state)
{
	(void)state;
	root = pki_ca("C=CH, O=Test, CN=Root");
	middle = pki_intermediate(&root, "O=Test, CN=Middle");
	stranger = pki_ca("C=CH, O=Test, CN=Root"); /* the same name */
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pki_free(&root);
	pki_free(&middle);
	pki_free(&stranger);
	return 0;
}

static void add_crl(struct cert_trust *t, const struct pki *issuer, const struct pki_crl_spec *s,
		    const char *says)
{
	struct pki_text pem = pki_crl_pem(issuer, s);
	struct err err = {{0}};
	int rc = cert_trust_add_crl(t, pem.data, pem.len, &err);

	if (rc != (says ? -1 : 0) || (says && !strstr(err.text, says)))
		fail_msg("%d, \"%s\", not \"%s\"", rc, err.text, says ? says : "taken");
	pki_text_free(&pem);
}

static void test_revoked(void **state)
{
	struct pki good = pki_leaf(&middle, PKI_P256, "CN=good", NULL);
	struct pki bad = pki_leaf(&middle, PKI_P256, "CN=bad", NULL);
	struct cert_trust *t = trust_of(&root);

	(void)state;
	EXPECT(t, &bad, &middle, NULL, NULL);
	/* The CRL's issuer is not known before a peer sends it; the cache does not hide a CRL. */
	add_crl(t, &middle, &(struct pki_crl_spec){.revoked = {bad.cert}}, NULL);
	EXPECT(t, &good, &middle, NULL, NULL);
	EXPECT(t, &bad, &middle, NULL, "certificate CN=bad is revoked by O=Test, CN=Middle");
	EXPECT(t, &bad, &middle, NULL, "certificate CN=bad is revoked");
	/* A newer one without it does not make it good again. */
	add_crl(t, &middle, &(struct pki_crl_spec){.this_update_s = -1, .next_update_s = PKI_DAY_S},
		NULL);
	EXPECT(t, &bad, &middle, NULL, "certificate CN=bad is revoked");
	add_crl(t, &root, &(struct pki_crl_spec){.revoked = {middle.cert}}, NULL);
	EXPECT(t, &good, &middle, NULL, "CN=Middle is revoked by C=CH, O=Test, CN=Root");
	cert_trust_free(t);
	pki_free(&good);
	pki_free(&bad);
}

static void test_strict(void **state)
{
	struct pki leaf = pki_leaf(&middle, PKI_P256, "CN=leaf", NULL);
	struct cert_trust *t = trust_of(&root);
	const struct pki_crl_spec current = {0};
	const struct pki_crl_spec past = {.this_update_s = -9 * PKI_DAY_S,
					  .next_update_s = -PKI_DAY_S};
	const struct pki_crl_spec future = {.this_update_s = PKI_DAY_S,
					    .next_update_s = 9 * PKI_DAY_S};
	struct pki liar = pki_ca("O=Test, CN=Middle");

	(void)state;
	EXPECT(t, &leaf, &middle, NULL, NULL);
	cert_trust_require_crl(t, true);
	EXPECT(t, &leaf, &middle, NULL, "CN=leaf: there is no CRL of O=Test, CN=Middle");
	add_crl(t, &liar, &current, NULL); /* nobody of that name is known yet */
	EXPECT(t, &leaf, &middle, NULL, "CN=leaf: there is no CRL of O=Test, CN=Middle");
	add_crl(t, &middle, &future, NULL);
	EXPECT(t, &leaf, &middle, NULL, "CN=leaf: there is no CRL of O=Test, CN=Middle");
	add_crl(t, &middle, &past, NULL);
	EXPECT(t, &leaf, &middle, NULL,
	       "CN=leaf: the CRL of O=Test, CN=Middle is outdated since 2025-06-14 15:06 UTC");
	add_crl(t, &middle, &current, NULL);
	EXPECT(t, &leaf, &middle, NULL, "CN=Middle: there is no CRL of C=CH, O=Test, CN=Root");
	add_crl(t, &root, &current, NULL);
	EXPECT(t, &leaf, &middle, NULL, NULL);
	/* Until it is outdated. */
	expect_at(t, &leaf, &middle, NULL, PKI_NOW_US + 31 * (uint64_t)PKI_DAY_S * 1000000,
		  "is outdated since 2025-07-15 15:06 UTC", __LINE__);
	cert_trust_free(t);
	pki_free(&leaf);
	pki_free(&liar);
}

/* An outdated one still revokes, and is no reason to refuse the others. */
static void test_outdated_crl(void **state)
{
	struct pki good = pki_leaf(&root, PKI_P256, "CN=good", NULL);
	struct pki bad = pki_leaf(&root, PKI_P256, "CN=bad", NULL);
	struct cert_trust *t = trust_of(&root);

	(void)state;
	add_crl(t, &root,
		&(struct pki_crl_spec){.this_update_s = -9 * PKI_DAY_S,
				       .next_update_s = -PKI_DAY_S,
				       .revoked = {bad.cert}},
		NULL);
	EXPECT(t, &good, NULL, NULL, NULL);
	EXPECT(t, &bad, NULL, NULL, "CN=bad is revoked");
	cert_trust_free(t);
	pki_free(&good);
	pki_free(&bad);
}

static void test_crls_refused(void **state)
{
	struct cert_trust *t = trust_of(&root);
	struct pki no_crls = pki_make(&(struct pki_spec){.subject = "CN=no CRLs",
							 .basic_constraints = "critical,CA:TRUE",
							 .key_usage = "keyCertSign"},
				      NULL);
	struct pki_text pem = pki_cert_pem(&no_crls),
			crl = pki_crl_pem(&root, &(struct pki_crl_spec){0});
	struct err err = {{0}};

	(void)state;
	add_crl(t, &stranger, &(struct pki_crl_spec){0},
		"CRL of C=CH, O=Test, CN=Root: the CA's signature of it is wrong");
	add_crl(t, &root, &(struct pki_crl_spec){.digest = "SHA1"}, "it is signed with SHA1");
	add_crl(t, &root, &(struct pki_crl_spec){.no_next_update = true}, "it has no nextUpdate");
	add_crl(t, &root, &(struct pki_crl_spec){.user_certs_only = true},
		"critical extension X509v3 Issuing Distribution Point");
	assert_int_equal(cert_trust_add_ca(t, pem.data, pem.len, &err), 0);
	add_crl(t, &no_crls, &(struct pki_crl_spec){0}, "signature of it is wrong");
	assert_int_equal(cert_trust_add_crl(t, "", 0, &err), -1);
	assert_int_equal(cert_trust_add_crl(t, pem.data, pem.len, &err), -1);
	assert_non_null(strstr(err.text, "no CRL"));
	crl.data[crl.len / 2] = '!';
	assert_int_equal(cert_trust_add_crl(t, crl.data, crl.len, &err), -1);
	assert_non_null(strstr(err.text, "CRL number 1 in it is malformed"));
	pki_text_free(&crl);
	pki_text_free(&pem);
	pki_free(&no_crls);
	cert_trust_free(t);
}

static void test_crl_truncated(void **state)
{
	struct cert_trust *t = trust_of(&root);
	X509_CRL *crl = pki_crl(&root, &(struct pki_crl_spec){.revoked = {middle.cert}});
	unsigned char *der = NULL;
	int len = i2d_X509_CRL(crl, &der);
	struct err err;

	(void)state;
	assert_true(len > 0);
	for (size_t n = 0; n <= (size_t)len; n++) {
		uint8_t *p = vector_exact(der, n);
		assert_int_equal(cert_trust_add_crl(t, p, n, &err), n == (size_t)len ? 0 : -1);
		free(p);
	}
	OPENSSL_free(der);
	X509_CRL_free(crl);
	cert_trust_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_revoked),	  cmocka_unit_test(test_strict),
	    cmocka_unit_test(test_outdated_crl),  cmocka_unit_test(test_crls_refused),
	    cmocka_unit_test(test_crl_truncated),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
