/* SPDX-License-Identifier: MIT */
/* EAP's packets, and MSCHAPv2: both sides against each other, and against packets of nobody. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <openssl/provider.h>
#include "eap_rig.h"
#include "vectors.h"

/* --- RFC 2759 9.2, RFC 3079 3.5.3 */

static void test_vectors(void **state)
{
	(void)state;
	struct vector auth = vector_of("5b5d7c7d7b3f2f3e3c2c602132262628");
	struct vector peer = vector_of("21402324255e262a28295f2b3a337c7e");
	const struct mschap m = {auth.b, peer.b, "User"}, domain = {auth.b, peer.b, "BIGCO\\User"};
	uint8_t hash[MSCHAP_HASH_LEN], response[MSCHAP_RESPONSE_LEN], proof[MSCHAP_PROOF_LEN];
	uint8_t master[MSCHAP_MASTER_KEY_LEN], keys[MSCHAP_SESSION_KEYS_LEN];

	assert_int_equal(mschap_nt_hash("clientPass", hash), 0);
	assert_memory_equal(hash, vector_of("44ebba8d5312b8d611474411f56989ae").b, 16);
	assert_int_equal(mschap_response(&m, hash, response), 0);
	assert_memory_equal(response,
			    vector_of("82309ecd8d708b5ea08faa3981cd83544233114a3d85d6df").b, 24);
	assert_int_equal(mschap_proof(&m, hash, response, proof), 0);
	assert_memory_equal(proof, vector_of("407a5589115fd0d6209f510fe9c04566932cda56").b, 20);
	assert_int_equal(mschap_master_key(hash, response, master), 0);
	assert_memory_equal(master, vector_of("fdece3717a8c838cb388e527ae3cdd31").b, 16);
	assert_int_equal(mschap_session_keys(master, keys), 0);
	assert_memory_equal(keys + 16, vector_of("8b7cdc149b993a1ba118cb153f56dccb").b, 16);
	assert_memory_not_equal(keys, keys + 16, 16);
	memset(response, 0, sizeof(response));
	assert_int_equal(mschap_response(&domain, hash, response), 0);
	assert_memory_equal(response, vector_of("82309ecd8d708b5ea08faa3981cd8354").b, 16);
}

/* What is no text, or too long, has no hash; what is not ASCII is hashed as UTF-16. */
static void test_passwords_as_text(void **state)
{
	(void)state;
	uint8_t hash[MSCHAP_HASH_LEN];
	char longest[MSCHAP_PASSWORD_CHARS + 2];
	static const char *const bad[] = {
	    "\xff", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "a\xe2\x82", "\x80"};

	assert_int_equal(mschap_nt_hash("", hash), 0);
	assert_memory_equal(hash, vector_of("31d6cfe0d16ae931b73c59d7e0c089c0").b, 16);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(mschap_nt_hash(bad[i], hash), -1);
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(mschap_nt_hash(longest, hash), -1);
	longest[MSCHAP_PASSWORD_CHARS] = '\0';
	assert_int_equal(mschap_nt_hash(longest, hash), 0);
	/* an euro sign, and a clef beyond the first plane: 20ac, d834 dd1e */
	static const uint8_t wide[] = {0xac, 0x20, 0x34, 0xd8, 0x1e, 0xdd};
	OSSL_LIB_CTX *ctx = OSSL_LIB_CTX_new();
	OSSL_PROVIDER *legacy = OSSL_PROVIDER_load(ctx, "legacy");
	EVP_MD *md4 = EVP_MD_fetch(ctx, "MD4", NULL);
	uint8_t expected[MSCHAP_HASH_LEN];
	assert_int_equal(EVP_Digest(wide, sizeof(wide), expected, NULL, md4, NULL), 1);
	assert_int_equal(mschap_nt_hash("\xe2\x82\xac\xf0\x9d\x84\x9e", hash), 0);
	assert_memory_equal(hash, expected, 16);
	EVP_MD_free(md4);
	OSSL_PROVIDER_unload(legacy);
	OSSL_LIB_CTX_free(ctx);
}

/* --- both sides */

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
	assert_memory_not_equal(a, zero, 16);
	assert_string_equal(eap_identity(r->s), user);
}

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
}

static void test_mschapv2_succeeds(void **state)
{
	struct eap_rig *r = *state;
	uint8_t a[EAP_MSK_LEN], b[EAP_MSK_LEN], zero[EAP_MSK_LEN] = {0};

	expect_success(r, RIG_USER);
	assert_int_equal(r->wire_count, 7);
	assert_true(eap_msk(r->s, a));
	assert_memory_equal(a + 32, zero, 32);
	expect_success(r, RIG_USER);
	assert_true(eap_msk(r->s, b));
	assert_memory_not_equal(a, b, 32);
}

/* Save for seeds, as tests/fuzz/fuzz_eap.c reads them: which, then packets with their lengths. */
static void test_seeds(void **state)
{
	struct eap_rig *r = *state;
	static const struct {
		enum eap_method method;
		int version;
		uint8_t which;
		const char *name;
	} runs[] = {{EAP_MSCHAPV2, TLS1_3_VERSION, 0, "mschapv2"},
		    {EAP_TLS, TLS1_2_VERSION, 1, "tls12"},
		    {EAP_TLS, TLS1_3_VERSION, 2, "tls13"}};

	for (size_t i = 0; i < ARRAY_LEN(runs); i++) {
		rig_seed(r);
		rig_use_tls(r, runs[i].version);
		r->server.method = r->client.method = runs[i].method;
		expect_success(r, RIG_USER);
		for (unsigned client = 0; client < 2; client++) {
			static uint8_t seed[1 << 16];
			char name[64];
			struct writer w = writer_of(seed, sizeof(seed));
			writer_u8(&w, (uint8_t)(runs[i].which * 4u + client * 2u));
			for (unsigned n = !client; n < r->wire_count; n += 2) {
				writer_u16(&w, (uint16_t)r->wire[n].len);
				writer_bytes(&w, r->wire[n].data, r->wire[n].len);
			}
			assert_false(w.failed);
			snprintf(name, sizeof(name), "%s-%s", runs[i].name,
				 client ? "client" : "server");
			vector_save("eap", name, seed, writer_len(&w));
		}
	}
}

static void test_wrong_password(void **state)
{
	struct eap_rig *r = *state;
	r->client.password = "another";
	expect_failure(r, "wrong password", "E=691");
	assert_string_equal(eap_identity(r->s), RIG_USER);
	/* no words of the server's in the log but what it says */
	assert_non_null(strstr(eap_reason(r->c), "Authentication failed"));
}

/* What tells a challenge from another is all that differs. */
static void test_unknown_user_looks_alike(void **state)
{
	struct eap_rig *r = *state;
	static uint8_t wrong[EAP_PACKET_MAX];

	r->client.password = "another";
	expect_failure(r, "wrong password", "E=691");
	unsigned n = r->wire_count - 3; /* Failure request, response, EAP-Failure */
	size_t len = r->wire[n].len;
	memcpy(wrong, r->wire[n].data, len);
	r->users[0][0] = "bob@example.org";
	expect_failure(r, "no such user", "E=691");
	assert_int_equal(n, r->wire_count - 3);
	assert_int_equal(len, r->wire[n].len);
	const char *text = "E=691 R=0 C=";
	size_t at = 9 + strlen(text);
	assert_memory_equal(wrong + 9, text, strlen(text));
	assert_memory_equal(r->wire[n].data + 9, text, strlen(text));
	assert_memory_not_equal(wrong + at, r->wire[n].data + at, 32);
	assert_memory_equal(wrong + at + 32, r->wire[n].data + at + 32, len - at - 32);
}

/* Who may come in by EAP-TLS has no password: "" is nobody's. */
static void test_empty_password_is_nobodys(void **state)
{
	struct eap_rig *r = *state;
	r->users[0][1] = "";
	expect_failure(r, "no such user", "E=691");
	r->users[0][1] = "nobody"; /* what is hashed in the place of a password that is not there */
	r->users[0][0] = "somebody else";
	r->client.password = "nobody";
	expect_failure(r, "no such user", "E=691");
	r->client.password = "";
	assert_null(eap_new(&r->client));
}

static void test_domain_before_user(void **state)
{
	struct eap_rig *r = *state;
	r->client.identity = "BIGCO\\alice@example.org";
	expect_success(r, RIG_USER);
	assert_int_equal(r->asked_count, 2);
	r->users[0][0] = "BIGCO\\alice@example.org";
	expect_success(r, "BIGCO\\alice@example.org");
	assert_int_equal(r->asked_count, 1);
}

static void test_configurations_that_lack_something(void **state)
{
	struct eap_rig *r = *state;
	static char too_long[EAP_IDENTITY_MAX + 1];
	struct eap_config c;

#define REFUSED(from, change)                                                                      \
	c = r->from;                                                                               \
	change;                                                                                    \
	assert_null(eap_new(&c))
	REFUSED(client, c.password = NULL);
	REFUSED(client, c.password = "\xff");
	REFUSED(client, c.identity = NULL);
	REFUSED(client, c.identity = "");
	memset(too_long, 'x', EAP_IDENTITY_MAX);
	REFUSED(client, c.identity = too_long);
	REFUSED(client, c.random = NULL);
	REFUSED(client, c.method = EAP_NONE);
	REFUSED(client, c.method = (enum eap_method)4);
	REFUSED(server, c.password_of = NULL);
	REFUSED(server, (c.method = EAP_TLS, c.tls = NULL));
	REFUSED(server, (c.method = EAP_TLS, c.tls = r->client_tls));
#undef REFUSED
}

static void test_methods_differ(void **state)
{
	struct eap_rig *r = *state;
	r->client.method = EAP_TLS;
	expect_failure(r, "wants another method (EAP type 13), not 26", "refused");
	assert_int_equal(r->wire[3].data[4], EAP_TYPE_NAK);
	assert_int_equal(r->wire[3].data[5], EAP_TLS);
	assert_int_equal(r->wire[3].len, 6);
}

/* --- a server made of packets */

static size_t make(uint8_t *out, uint8_t code, uint8_t id, int type, const void *data, size_t len)
{
	struct writer w = writer_of(out, EAP_PACKET_MAX);
	writer_u8(&w, code);
	writer_u8(&w, id);
	writer_u16(&w, (uint16_t)((type >= 0 ? 5 : 4) + len));
	if (type >= 0)
		writer_u8(&w, (uint8_t)type);
	if (len)
		writer_bytes(&w, data, len);
	assert_false(w.failed);
	return writer_len(&w);
}

static uint8_t reply[EAP_PACKET_MAX];
static size_t reply_len;

static enum eap_status give(struct eap *e, uint8_t code, uint8_t id, int type, const void *data,
			    size_t len)
{
	uint8_t packet[EAP_PACKET_MAX];
	size_t n = make(packet, code, id, type, data, len);
	return rig_give(e, packet, n, reply, &reply_len);
}

static enum eap_status give_ms(struct eap *e, uint8_t id, uint8_t op, const void *data, size_t len)
{
	uint8_t body[EAP_PACKET_MAX];
	struct writer w = writer_of(body, sizeof(body));
	writer_u8(&w, op);
	writer_u8(&w, 77);
	writer_u16(&w, (uint16_t)(4 + len));
	writer_bytes(&w, data, len);
	return give(e, EAP_CODE_REQUEST, id, EAP_MSCHAPV2, body, writer_len(&w));
}

#define CHALLENGE                                                                                  \
	"\x10"                                                                                     \
	"0123456789abcdef"                                                                         \
	"me"

/* At the point where Success or Failure of the method may come. */
static struct eap *client_at_result(struct eap_rig *r)
{
	struct eap *e = eap_new(&r->client);
	assert_non_null(e);
	assert_int_equal(give_ms(e, 9, 1, CHALLENGE, sizeof(CHALLENGE) - 1), EAP_GOES_ON);
	assert_int_equal(reply_len, 5 + 4 + 1 + 49 + strlen(RIG_USER));
	assert_int_equal(reply[1], 9);
	assert_int_equal(reply[6], 77);
	return e;
}

static void expect_ignored(enum eap_status s)
{
	assert_int_equal(s, EAP_GOES_ON);
	assert_int_equal(reply_len, 0);
}

static void proof_text(const struct eap *e, char text[64], const char *format)
{
	const struct mschap m = {e->mschap.authenticator, e->mschap.peer, RIG_USER};
	uint8_t proof[MSCHAP_PROOF_LEN];
	assert_int_equal(mschap_proof(&m, e->mschap.nt_hash, e->mschap.response, proof), 0);
	text += sprintf(text, "S=");
	for (size_t i = 0; i < sizeof(proof); i++)
		text += sprintf(text, format, proof[i]);
}

static void test_client_wants_proof(void **state)
{
	struct eap_rig *r = *state;
	char text[64];
	uint8_t msk[EAP_MSK_LEN];

	/* success that nobody earned, at each step */
	struct eap *e = eap_new(&r->client);
	assert_int_equal(give(e, EAP_CODE_SUCCESS, 0, -1, NULL, 0), EAP_FAILURE);
	eap_free(e);
	e = client_at_result(r);
	expect_ignored(give(e, EAP_CODE_SUCCESS, 8, -1, NULL, 0));
	assert_int_equal(give(e, EAP_CODE_SUCCESS, 9, -1, NULL, 0), EAP_FAILURE);
	assert_non_null(strstr(eap_reason(e), "not of this conversation"));
	eap_free(e);
	/* every digit counts */
	for (size_t i = 2; i < 42; i++) {
		e = client_at_result(r);
		proof_text(e, text, "%02X");
		text[i] = text[i] == '0' ? '1' : '0';
		assert_int_equal(give_ms(e, 10, 3, text, 42), EAP_FAILURE);
		assert_int_equal(reply_len, 0);
		assert_non_null(strstr(eap_reason(e), "does not know the password"));
		eap_free(e);
	}
	/* malformed, then as it should be, in small letters and with an end of its own */
	e = client_at_result(r);
	proof_text(e, text, "%02x");
	for (size_t len = 0; len < 42; len++)
		expect_ignored(give_ms(e, 10, 3, text, len));
	expect_ignored(give_ms(e, 10, 3, "s=00", 4));
	strcat(text, "x");
	expect_ignored(give_ms(e, 10, 3, text, 43));
	assert_int_equal(give_ms(e, 10, 3, text, 42), EAP_GOES_ON);
	assert_int_equal(reply_len, 6);
	assert_false(eap_msk(e, msk));
	expect_ignored(give(e, EAP_CODE_SUCCESS, 9, -1, NULL, 0));
	expect_ignored(give_ms(e, 11, 3, text, 42));
	assert_int_equal(give(e, EAP_CODE_SUCCESS, 10, -1, NULL, 0), EAP_SUCCESS);
	assert_true(eap_msk(e, msk));
	eap_free(e);
}

static void test_client_does_not_retry(void **state)
{
	struct eap_rig *r = *state;
	static const struct {
		const char *text, *reason;
	} texts[] = {
	    {"E=691 R=1 C=00112233445566778899AABBCCDDEEFF V=3 M=try again",
	     "says \"try again\" (E=691)"},
	    {"E=648 R=1 C=00112233445566778899AABBCCDDEEFF V=3 M=Password expired",
	     "E=648 R=1 C=00112233445566778899AABBCCDDEEFF V=3 M=Password expired"},
	    {"E=691", "(E=691)"},
	    {"", "says \"\""},
	    {"\x1b[2J\n\xff%s%n", "says \"?[2J??%s%n\""},
	};
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct eap *e = client_at_result(r);
		assert_int_equal(give_ms(e, 10, 4, texts[i].text, strlen(texts[i].text)),
				 EAP_GOES_ON);
		assert_int_equal(reply_len, 6);
		assert_int_equal(reply[5], 4);
		assert_non_null(strstr(eap_reason(e), texts[i].reason));
		/* a new challenge is the retry that is not made */
		enum eap_status s = i % 2 ? give_ms(e, 11, 1, CHALLENGE, sizeof(CHALLENGE) - 1)
					  : give(e, EAP_CODE_FAILURE, 10, -1, NULL, 0);
		assert_int_equal(s, EAP_FAILURE);
		assert_int_equal(reply_len, 0);
		assert_non_null(strstr(eap_reason(e), texts[i].reason));
		eap_free(e);
	}
	/* as long as a packet can be */
	static char text[4000];
	memset(text, 'M', sizeof(text));
	struct eap *e = client_at_result(r);
	assert_int_equal(give_ms(e, 10, 4, text, sizeof(text)), EAP_GOES_ON);
	eap_free(e);
}

static void test_client_ignores_what_does_not_fit(void **state)
{
	struct eap_rig *r = *state;
	struct eap *e = eap_new(&r->client);
	uint8_t packet[EAP_PACKET_MAX + 1] = {0};

	expect_ignored(rig_give(e, NULL, 0, reply, &reply_len));
	expect_ignored(give(e, EAP_CODE_RESPONSE, 1, EAP_TYPE_IDENTITY, NULL, 0));
	expect_ignored(give(e, 0, 1, EAP_TYPE_IDENTITY, NULL, 0));
	expect_ignored(give(e, 5, 1, EAP_TYPE_IDENTITY, NULL, 0));
	expect_ignored(give(e, EAP_CODE_REQUEST, 1, -1, NULL, 0));
	expect_ignored(give(e, EAP_CODE_FAILURE, 1, 1, NULL, 0));
	packet[0] = EAP_CODE_REQUEST;
	packet[3] = 5;
	packet[4] = EAP_TYPE_IDENTITY;
	expect_ignored(rig_give(e, packet, sizeof(packet), reply, &reply_len));
	/* padding is none of ours */
	assert_int_equal(rig_give(e, packet, sizeof(packet) - 1, reply, &reply_len), EAP_GOES_ON);
	assert_int_equal(reply_len, 5 + strlen(RIG_USER));
	assert_int_equal(give(e, EAP_CODE_REQUEST, 2, EAP_TYPE_NOTIFICATION, "hello", 5),
			 EAP_GOES_ON);
	assert_int_equal(reply_len, 5);
	assert_int_equal(give(e, EAP_CODE_REQUEST, 3, 4, "md5", 3), EAP_GOES_ON);
	assert_memory_equal(reply, "\x02\x03\x00\x06\x03\x1a", 6);
	assert_int_equal(give(e, EAP_CODE_REQUEST, 4, EAP_TYPE_EXPANDED, "md5", 3), EAP_GOES_ON);
	assert_memory_equal(reply, "\x02\x04\x00\x06\x03\x1a", 6);
	assert_int_equal(give_ms(e, 5, 1, CHALLENGE, sizeof(CHALLENGE) - 1), EAP_GOES_ON);
	/* no other method, identity or challenge once it began */
	expect_ignored(give(e, EAP_CODE_REQUEST, 6, EAP_TLS, "\x20", 1));
	expect_ignored(give(e, EAP_CODE_REQUEST, 6, EAP_TYPE_IDENTITY, NULL, 0));
	expect_ignored(give_ms(e, 6, 1, CHALLENGE, sizeof(CHALLENGE) - 1));
	expect_ignored(give_ms(e, 6, 7, "change", 6));
	assert_int_equal(give(e, EAP_CODE_FAILURE, 5, -1, NULL, 0), EAP_FAILURE);
	eap_free(e);
}

static void test_rounds_end(void **state)
{
	struct eap_rig *r = *state;
	struct eap *e = eap_new(&r->client);
	unsigned n = 0;

	while (give(e, EAP_CODE_REQUEST, (uint8_t)n, EAP_TYPE_NOTIFICATION, NULL, 0) == EAP_GOES_ON)
		assert_int_equal(reply_len, n++ < 1000 ? 5 : 0);
	assert_int_equal(n, EAP_ROUNDS_MAX);
	assert_int_equal(reply_len, 0);
	assert_int_equal(give(e, EAP_CODE_SUCCESS, 0, -1, NULL, 0), EAP_FAILURE);
	eap_free(e);
}

/* --- a client made of packets */

static struct eap *server_new(struct eap_rig *r, uint8_t *id)
{
	struct eap *e = eap_new(&r->server);
	assert_non_null(e);
	assert_int_equal(eap_begin(e, reply), 5);
	*id = reply[1];
	return e;
}

static void expect_refused(enum eap_status s, uint8_t id)
{
	assert_int_equal(s, EAP_FAILURE);
	assert_int_equal(reply_len, 4);
	assert_int_equal(reply[0], EAP_CODE_FAILURE);
	assert_int_equal(reply[1], id);
}

static void test_server_refuses_what_does_not_fit(void **state)
{
	struct eap_rig *r = *state;
	static char long_name[EAP_IDENTITY_MAX];
	struct {
		uint8_t code, id;
		int type;
		const char *data;
	} firsts[] = {
	    {EAP_CODE_RESPONSE, 1, EAP_TYPE_IDENTITY, "me"},
	    {EAP_CODE_REQUEST, 0, EAP_TYPE_IDENTITY, "me"},
	    {EAP_CODE_SUCCESS, 0, -1, ""},
	    {EAP_CODE_RESPONSE, 0, -1, ""},
	    {EAP_CODE_RESPONSE, 0, EAP_TYPE_NAK, "\x0d"},
	    {EAP_CODE_RESPONSE, 0, EAP_MSCHAPV2, "\x03"},
	    {EAP_CODE_RESPONSE, 0, EAP_TYPE_IDENTITY, "a\nb"},
	    {EAP_CODE_RESPONSE, 0, EAP_TYPE_IDENTITY, "a\x7f"},
	    {EAP_CODE_RESPONSE, 0, EAP_TYPE_IDENTITY, "\xc2\x85"},
	    {EAP_CODE_RESPONSE, 0, EAP_TYPE_IDENTITY, "a\xff"},
	    {EAP_CODE_RESPONSE, 0, EAP_TYPE_IDENTITY, long_name},
	};
	uint8_t id;

	memset(long_name, 'x', sizeof(long_name));
	for (size_t i = 0; i < ARRAY_LEN(firsts); i++) {
		size_t len =
		    firsts[i].data == long_name ? sizeof(long_name) : strlen(firsts[i].data);
		struct eap *e = server_new(r, &id);
		expect_refused(give(e, firsts[i].code, (uint8_t)(id + firsts[i].id), firsts[i].type,
				    firsts[i].data, len),
			       id);
		assert_string_equal(eap_identity(e), "");
		eap_free(e);
	}
	struct eap *e = server_new(r, &id);
	expect_refused(give(e, EAP_CODE_RESPONSE, id, EAP_TYPE_IDENTITY, "a\0b", 3), id);
	eap_free(e);
	/* the longest that fits, and none at all */
	e = server_new(r, &id);
	assert_int_equal(
	    give(e, EAP_CODE_RESPONSE, id, EAP_TYPE_IDENTITY, long_name, sizeof(long_name) - 1),
	    EAP_GOES_ON);
	assert_int_equal(strlen(eap_identity(e)), sizeof(long_name) - 1);
	eap_free(e);
	e = server_new(r, &id);
	assert_int_equal(give(e, EAP_CODE_RESPONSE, id, EAP_TYPE_IDENTITY, NULL, 0), EAP_GOES_ON);
	eap_free(e);
}

/* --- runs in which something happens to a packet */

struct change {
	unsigned n;    /* which packet */
	size_t at;     /* an octet of it, or its new length */
	uint8_t flip;  /* 0: the length */
	bool repaired; /* the packet's own length is as the new one */
	bool done;
};

static void change_packet(struct eap_rig *r, unsigned n, uint8_t *packet, size_t *len)
{
	struct change *c = r->hook_arg;
	if (n != c->n || c->at >= *len)
		return;
	c->done = true;
	if (c->flip) {
		packet[c->at] ^= c->flip;
		return;
	}
	*len = c->at;
	if (c->repaired && *len >= 4) {
		packet[2] = (uint8_t)(*len >> 8);
		packet[3] = (uint8_t)*len;
	}
}

static void test_every_length_of_every_packet(void **state)
{
	struct eap_rig *r = *state;
	struct change c = {0};

	expect_success(r, RIG_USER);
	unsigned count = r->wire_count;
	r->hook = change_packet;
	r->hook_arg = &c;
	for (unsigned repaired = 0; repaired < 2; repaired++) {
		for (unsigned n = 0; n < count; n++) {
			for (size_t at = 0;; at++) {
				c = (struct change){.n = n, .at = at, .repaired = repaired};
				rig_run(r);
				if (!c.done)
					break;
				bool both = r->server_status == EAP_SUCCESS &&
					    r->client_status == EAP_SUCCESS;
				/* What may be shorter: names that nobody looks at, words. */
				bool harmless = (n == 1 && at >= 5) || (n == 0 && at == 5) ||
						(n == 4 && at > 9 + 42);
				if (!repaired || !harmless)
					assert_false(both);
			}
		}
	}
	r->hook_arg = NULL;
}

/* Of the octets that mean something, each bit does. */
static void test_every_bit_of_every_packet(void **state)
{
	struct eap_rig *r = *state;
	struct change c = {0};
	unsigned harmless = 0, total = 0;

	expect_success(r, RIG_USER);
	unsigned count = r->wire_count;
	r->hook = change_packet;
	r->hook_arg = &c;
	for (unsigned n = 0; n < count; n++) {
		for (size_t at = 0;; at++) {
			for (unsigned bit = 0; bit < 8; bit++) {
				c = (struct change){.n = n, .at = at, .flip = (uint8_t)(1u << bit)};
				rig_run(r);
				if (!c.done)
					break;
				total++;
				if (r->server_status != EAP_SUCCESS ||
				    r->client_status != EAP_SUCCESS)
					continue;
				harmless++;
				/* the identity and its length; the server's name; reserved octets
				 * and flags of a response; identifier, small letters and words of
				 * a success */
				bool known =
				    (n == 1 && (at == 3 || at >= 5)) || (n == 2 && at >= 26) ||
				    (n == 3 && ((at >= 26 && at < 34) || at == 58)) ||
				    (n == 4 && (at == 6 || at >= 51 || (at >= 11 && bit == 5)));
				if (!known)
					print_error("packet %u octet %zu bit %u\n", n, at, bit);
				assert_true(known);
				assert_string_equal(eap_identity(r->s), RIG_USER);
			}
			if (!c.done)
				break;
		}
	}
	assert_true(total > 1500 && harmless < total / 2);
	r->hook_arg = NULL;
}

static void mutate_packet(struct eap_rig *r, unsigned n, uint8_t *packet, size_t *len)
{
	uint32_t roll;
	(void)n;
	rig_random(&r->random[2], &roll, sizeof(roll));
	if (roll % 4 == 0)
		packet[(roll >> 8) % *len] = (uint8_t)(roll >> 24);
	else if (roll % 32 == 1)
		*len = (roll >> 8) % *len;
	else if (roll % 32 == 2 && *len < 2000)
		*len += (roll >> 8) % 64;
}

static void test_random_mutations(void **state)
{
	struct eap_rig *r = *state;
	uint8_t a[EAP_MSK_LEN], b[EAP_MSK_LEN];

	r->hook = mutate_packet;
	for (unsigned i = 0; i < 4000; i++) {
		rig_run(r);
		if (r->server_status == EAP_SUCCESS)
			assert_string_equal(eap_identity(r->s), RIG_USER);
		if (r->client_status != EAP_SUCCESS)
			continue;
		assert_int_equal(r->server_status, EAP_SUCCESS);
		assert_true(eap_msk(r->s, a) && eap_msk(r->c, b));
		assert_memory_equal(a, b, sizeof(a));
	}
	/* the same, with nobody who may come in */
	r->client.password = "another";
	for (unsigned i = 0; i < 4000; i++) {
		rig_run(r);
		assert_int_not_equal(r->server_status, EAP_SUCCESS);
		assert_int_not_equal(r->client_status, EAP_SUCCESS);
	}
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
	    cmocka_unit_test(test_vectors),
	    cmocka_unit_test(test_passwords_as_text),
	    RIG_TEST(test_mschapv2_succeeds),
	    RIG_TEST(test_seeds),
	    RIG_TEST(test_wrong_password),
	    RIG_TEST(test_unknown_user_looks_alike),
	    RIG_TEST(test_empty_password_is_nobodys),
	    RIG_TEST(test_domain_before_user),
	    RIG_TEST(test_configurations_that_lack_something),
	    RIG_TEST(test_methods_differ),
	    RIG_TEST(test_client_wants_proof),
	    RIG_TEST(test_client_does_not_retry),
	    RIG_TEST(test_client_ignores_what_does_not_fit),
	    RIG_TEST(test_rounds_end),
	    RIG_TEST(test_server_refuses_what_does_not_fit),
	    RIG_TEST(test_every_length_of_every_packet),
	    RIG_TEST(test_every_bit_of_every_packet),
	    RIG_TEST(test_random_mutations),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
