/* SPDX-License-Identifier: MIT */
/*
 * What EAP's methods load lazily, loaded now: each method talks to itself once, TLS in both its
 * versions and to a refusal, under a key made for this moment.  As in crypto_warm_up, failures are
 * not judged: who needs the method says so.
 */
#include <string.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include "base/mem.h"
#include "crypto/mac.h"
#include "ike/eap_state.h"

#define WARM_TIME_S 1000000000

struct warm {
	char *cert, *key; /* PEM, owned */
	size_t cert_len, key_len;
	struct eap_tls *server, *client;
};

/* --- a certificate that is its own CA */

static bool extend(X509 *x, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
	bool ok = e && X509_add_ext(x, e, -1) == 1;
	X509_EXTENSION_free(e);
	return ok;
}

static X509 *make_cert(EVP_PKEY *key)
{
	static const unsigned char name[] = "warm";
	X509 *x = X509_new();
	X509_NAME *n = x ? X509_get_subject_name(x) : NULL;

	if (n && X509_set_version(x, 2) == 1 &&
	    X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_ASC, name, -1, -1, 0) == 1 &&
	    X509_set_issuer_name(x, n) == 1 && X509_set_pubkey(x, key) == 1 &&
	    ASN1_INTEGER_set(X509_get_serialNumber(x), 1) == 1 &&
	    ASN1_TIME_set(X509_getm_notBefore(x), WARM_TIME_S - 86400) &&
	    ASN1_TIME_set(X509_getm_notAfter(x), WARM_TIME_S + 86400) &&
	    extend(x, NID_basic_constraints, "critical,CA:TRUE") &&
	    extend(x, NID_key_usage, "critical,digitalSignature,keyCertSign") &&
	    X509_sign(x, key, EVP_sha256()) > 0)
		return x;
	X509_free(x);
	return NULL;
}

/* Takes the BIO. */
static char *text_of(BIO *bio, size_t *len)
{
	char *data = NULL;
	long n = BIO_get_mem_data(bio, &data);
	char *copy = mem_zalloc((size_t)n + 1);
	memcpy(copy, data, (size_t)n);
	*len = (size_t)n;
	BIO_free(bio);
	return copy;
}

static bool make_material(struct warm *w)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = key ? make_cert(key) : NULL;
	BIO *cert = BIO_new(BIO_s_mem()), *secret = BIO_new(BIO_s_mem());
	bool ok = x && cert && secret && PEM_write_bio_X509(cert, x) == 1 &&
		  PEM_write_bio_PKCS8PrivateKey(secret, key, NULL, NULL, 0, NULL, NULL) == 1;
	if (ok) {
		w->cert = text_of(cert, &w->cert_len);
		w->key = text_of(secret, &w->key_len);
	} else {
		BIO_free(cert);
		BIO_free(secret);
	}
	X509_free(x);
	EVP_PKEY_free(key);
	return ok;
}

static bool warm_open(struct warm *w)
{
	if (!make_material(w))
		return false;
	w->server =
	    eap_tls_new(w->cert, w->cert_len, w->key, w->key_len, w->cert, w->cert_len, true, NULL);
	w->client = eap_tls_new(w->cert, w->cert_len, w->key, w->key_len, w->cert, w->cert_len,
				false, NULL);
	return w->server && w->client;
}

static void warm_close(struct warm *w)
{
	eap_tls_free(w->server);
	eap_tls_free(w->client);
	free(w->cert);
	if (w->key)
		mem_wipe(w->key, w->key_len);
	free(w->key);
}

/* --- conversations */

static void warm_random(void *ctx, void *out, size_t len)
{
	(void)ctx;
	random_bytes(out, len);
}

static const char *warm_password(void *ctx, const char *user)
{
	(void)user;
	return ctx;
}

static void talk(const struct eap_config *server, const struct eap_config *client)
{
	struct eap *s = eap_new(server), *c = eap_new(client);
	uint8_t *packets = mem_zalloc(2 * EAP_PACKET_MAX);
	uint8_t *to_client = packets, *to_server = packets + EAP_PACKET_MAX;
	size_t len = s && c ? eap_begin(s, to_client) : 0;
	enum eap_status status = EAP_GOES_ON;

	while (len && status == EAP_GOES_ON) {
		status = eap_input(c, to_client, len, to_server, &len);
		if (len && status == EAP_GOES_ON)
			status = eap_input(s, to_server, len, to_client, &len);
	}
	eap_free(s);
	eap_free(c);
	free(packets);
}

static void warm_method(const struct warm *w, enum eap_method method, const char *password)
{
	struct eap_config s = {.server = true,
			       .method = method,
			       .tls = w->server,
			       .wall_us = (uint64_t)WARM_TIME_S * USEC_PER_SEC,
			       .password_of = warm_password,
			       .ctx = (void *)(uintptr_t)password,
			       .random = warm_random};
	struct eap_config c = s;
	c.server = false;
	c.tls = w->client;
	c.identity = "warm";
	c.password = "warm";
	talk(&s, &c);
}

void eap_warm_up(void)
{
	static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
	struct warm w = {0};

	OPENSSL_init_ssl(OPENSSL_INIT_LOAD_SSL_STRINGS | OPENSSL_INIT_LOAD_CRYPTO_STRINGS, NULL);
	warm_method(&w, EAP_MSCHAPV2, "warm");
	warm_method(&w, EAP_MSCHAPV2, "cold");
	if (warm_open(&w)) {
		for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
			(void)SSL_CTX_set_max_proto_version(eap_tls_context(w.server), versions[i]);
			warm_method(&w, EAP_TLS, "");
			warm_method(&w, EAP_TLS, NULL);
		}
	}
	warm_close(&w);
	ERR_clear_error();
}
