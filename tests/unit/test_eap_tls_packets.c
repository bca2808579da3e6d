/* SPDX-License-Identifier: MIT */
/* EAP-TLS's packets: fragments, ends that nobody earned, every length, random changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "eap_rig.h"

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
}

/* --- fragments */

#define LONG_NAME  "DNS:a-name-that-is-long-enough-to-fill-some-octets.example.org,"
#define LONG_NAMES LONG_NAME LONG_NAME LONG_NAME LONG_NAME LONG_NAME LONG_NAME LONG_NAME LONG_NAME

/* Leaf and two issuers below the CA: three packets each way, or more. */
static struct eap_tls *long_chain(const struct pki *ca, const char *subject, const char *san,
				  bool server)
{
	struct pki a = pki_intermediate(ca, "O=Long, CN=first"), b = pki_intermediate(&a, "CN=two");
	struct pki leaf = pki_leaf(&b, PKI_RSA3072, subject, san);
	struct pki_text chain = pki_cert_pem(&leaf), more = pki_cert_pem(&b),
			last = pki_cert_pem(&a), key = pki_key_pem(&leaf), root = pki_cert_pem(ca);
	pki_text_add(&chain, &more);
	pki_text_add(&chain, &last);
	struct eap_tls *t = eap_tls_new(chain.data, chain.len, key.data, key.len, root.data,
					root.len, server, NULL);
	pki_text_free(&chain);
	pki_text_free(&more);
	pki_text_free(&last);
	pki_text_free(&key);
	pki_text_free(&root);
	pki_free(&a);
	pki_free(&b);
	pki_free(&leaf);
	assert_non_null(t);
	return t;
}

static void test_fragments_both_ways(void **state)
{
	struct eap_rig *r = *state;
	eap_tls_free(r->server_tls);
	eap_tls_free(r->client_tls);
	r->server.tls = r->server_tls =
	    long_chain(&r->ca, "CN=s", LONG_NAMES LONG_NAMES "DNS:s.example.org", true);
	r->client.tls = r->client_tls =
	    long_chain(&r->ca, "CN=alice", LONG_NAMES LONG_NAMES "email:" RIG_USER, false);
	EACH_VERSION(r)
	{
		unsigned first[2] = {0}, more[2] = {0};
		expect_success(r, RIG_USER);
		for (unsigned n = 2; n < r->wire_count; n++) {
			assert_true(r->wire[n].len <= 6 + 4 + 1024);
			uint8_t flags = r->wire[n].len > 5 ? r->wire[n].data[5] : 0;
			first[n % 2] += flags >> 7;
			more[n % 2] += flags >> 6 & 1;
		}
		assert_true(first[0] == 1 && more[0] >= 2);
		assert_true(first[1] == 1 && more[1] >= 2);
	}
}

static uint8_t reply[EAP_PACKET_MAX];
static size_t reply_len;

static enum eap_status give(struct eap *e, uint8_t code, uint8_t id, const void *data, size_t len)
{
	uint8_t packet[EAP_PACKET_MAX];
	struct writer w = writer_of(packet, sizeof(packet));
	writer_u8(&w, code);
	writer_u8(&w, id);
	writer_u16(&w, (uint16_t)(5 + len));
	writer_u8(&w, EAP_TLS);
	writer_bytes(&w, data, len);
	assert_false(w.failed);
	return rig_give(e, packet, writer_len(&w), reply, &reply_len);
}

/* One that just said Start; *id is what it awaits. */
static struct eap *server_started(struct eap_rig *r, uint8_t *id)
{
	uint8_t identity[] = {EAP_CODE_RESPONSE, 0, 0, 6, EAP_TYPE_IDENTITY, 'x'};
	struct eap *e = eap_new(&r->server);
	assert_non_null(e);
	assert_int_equal(eap_begin(e, reply), 5);
	identity[1] = reply[1];
	assert_int_equal(rig_give(e, identity, sizeof(identity), reply, &reply_len), EAP_GOES_ON);
	assert_memory_equal(reply + 2, "\x00\x06\x0d\x20", 4);
	*id = reply[1];
	return e;
}

static void test_bad_fragments(void **state)
{
	struct eap_rig *r = *state;
	static const struct {
		const char *packets[3]; /* the last must be refused */
		size_t lens[3];
	} cases[] = {
	    {{""}, {0}},
	    {{"\x00"}, {1}}, /* TLS of nothing */
	    {{"\x20"}, {1}}, /* Start from a client */
	    {{"\x40"
	      "abc"},
	     {4}},			     /* L is missing */
	    {{"\x80\x00\x00"}, {3}},	     /* L's length is cut */
	    {{"\xc0\x00\x00\x00\x00"}, {5}}, /* nothing, and more */
	    {{"\xc0\x00\x00\x00\x05"}, {5}}, /* an empty fragment */
	    {{"\xc0\x00\x00\x00\x03"
	      "abc"},
	     {8}}, /* all, and more */
	    {{"\xc0\x00\x00\x00\x03"
	      "abcd"},
	     {9}}, /* too much */
	    {{"\x80\x00\x00\x00\x04"
	      "abc"},
	     {8}}, /* too little */
	    {{"\x80\x00\x00\x00\x02"
	      "abc"},
	     {8}}, /* too much at once */
	    {{"\xc0\x00\x00\x80\x01"
	      "abc"},
	     {8}}, /* 32769 octets */
	    {{"\xc0\xff\xff\xff\xff"
	      "abc"},
	     {8}}, /* 4 GiB */
	    {{"\xc0\x00\x00\x00\x09"
	      "abc",
	      "\x00"
	      "def"},
	     {8, 4}}, /* it ends early */
	    {{"\xc0\x00\x00\x00\x05"
	      "abc",
	      "\x00"
	      "def"},
	     {8, 4}}, /* ... late */
	    {{"\xc0\x00\x00\x00\x09"
	      "abc",
	      "\x40"},
	     {8, 1}}, /* an empty one */
	    {{"\xc0\x00\x00\x00\x09"
	      "abc",
	      "\xc0\x00\x00\x00\x08"
	      "def"},
	     {8, 8}},
	    {{"\xc0\x00\x00\x00\x06"
	      "abc",
	      "\x00"
	      "def"},
	     {8, 4}}, /* no TLS */
	};
	rig_use_tls(r, TLS1_3_VERSION);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint8_t id;
		struct eap *e = server_started(r, &id);
		enum eap_status s = EAP_GOES_ON;
		for (size_t n = 0; n < 3 && cases[i].packets[n]; n++) {
			assert_int_equal(s, EAP_GOES_ON);
			s = give(e, EAP_CODE_RESPONSE, id, cases[i].packets[n], cases[i].lens[n]);
			if (s == EAP_GOES_ON)
				id = reply[1];
		}
		/* TLS says why it refuses, before EAP-Failure does */
		if (s == EAP_GOES_ON) {
			assert_int_equal(reply[6], 21);
			s = give(e, EAP_CODE_RESPONSE, id, "\x00", 1);
		}
		assert_int_equal(s, EAP_FAILURE);
		assert_int_equal(reply[0], EAP_CODE_FAILURE);
		assert_int_equal(reply_len, 4);
		assert_true(eap_reason(e)[0]);
		eap_free(e);
	}
}

/* One octet at a time. */
static void test_endless_fragments(void **state)
{
	struct eap_rig *r = *state;
	uint8_t id;
	unsigned n = 0;

	rig_use_tls(r, TLS1_3_VERSION);
	struct eap *e = server_started(r, &id);
	enum eap_status s = give(e, EAP_CODE_RESPONSE, id, "\xc0\x00\x00\x80\x00\x16", 6);
	while (s == EAP_GOES_ON && n++ < 1000) {
		assert_int_equal(reply_len, 6);
		s = give(e, EAP_CODE_RESPONSE, reply[1], "\x40\x03", 2);
	}
	assert_int_equal(s, EAP_FAILURE);
	assert_int_equal(n, EAP_ROUNDS_MAX - 1);
	assert_non_null(strstr(eap_reason(e), "does not end"));
	eap_free(e);
}

/* --- an end that nobody earned */

/* The server's packet n becomes EAP-Success. */
static void early_success(struct eap_rig *r, unsigned n, uint8_t *packet, size_t *len)
{
	if (n != *(unsigned *)r->hook_arg)
		return;
	PKI_NEED(*len >= 4);
	memcpy(packet, (uint8_t[]){EAP_CODE_SUCCESS, r->wire[n - 1].data[1], 0, 4}, 4);
	*len = 4;
}

static void test_success_is_earned(void **state)
{
	struct eap_rig *r = *state;
	unsigned at;

	EACH_VERSION(r)
	{
		r->hook = NULL;
		expect_success(r, RIG_USER);
		unsigned last = r->wire_count - 1;
		r->hook = early_success;
		r->hook_arg = &at;
		/* with TLS 1.3 that includes the octet that says it's over */
		for (at = 2; at < last; at += 2) {
			rig_run(r);
			assert_int_equal(r->client_status, EAP_FAILURE);
			assert_non_null(strstr(eap_reason(r->c), "before the server proved"));
		}
		rig_run(r);
		assert_int_equal(r->client_status, EAP_SUCCESS);
	}
	r->hook = NULL;
}

/* The client's last acknowledgement says something. */
static void add_to_last(struct eap_rig *r, unsigned n, uint8_t *packet, size_t *len)
{
	if (n != *(unsigned *)r->hook_arg)
		return;
	memcpy(packet + *len, "\x15\x03\x03\x00\x02\x02\x28", 7);
	*len += 7;
	packet[3] = (uint8_t)*len;
}

static void test_data_after_the_end(void **state)
{
	struct eap_rig *r = *state;
	unsigned last;

	EACH_VERSION(r)
	{
		r->hook = NULL;
		expect_success(r, RIG_USER);
		last = r->wire_count - 2;
		r->hook = add_to_last;
		r->hook_arg = &last;
		rig_run(r);
		assert_int_equal(r->server_status, EAP_FAILURE);
		assert_int_equal(r->client_status, EAP_FAILURE);
	}
	r->hook = NULL;
}

/* --- lengths and mutations */

struct cut {
	unsigned n;
	size_t at;
	bool repaired, done;
};

static void cut_packet(struct eap_rig *r, unsigned n, uint8_t *packet, size_t *len)
{
	struct cut *c = r->hook_arg;
	if (n != c->n || c->at >= *len)
		return;
	c->done = true;
	*len = c->at;
	if (c->repaired && *len >= 4) {
		packet[2] = (uint8_t)(*len >> 8);
		packet[3] = (uint8_t)*len;
	}
}

/* Every length; with the packet's own length made right, each that is short or a prime's. */
static void test_every_length_of_every_packet(void **state)
{
	struct eap_rig *r = *state;
	struct cut c = {0};

	EACH_VERSION(r)
	{
		r->hook = NULL;
		expect_success(r, RIG_USER);
		unsigned count = r->wire_count;
		r->hook = cut_packet;
		r->hook_arg = &c;
		for (unsigned n = 0; n < count; n++) {
			for (unsigned i = 0;; i++) {
				size_t at = i / 2;
				bool repaired = i % 2;
				if (repaired && at > 24 && at % 13)
					continue;
				c = (struct cut){.n = n, .at = at, .repaired = repaired};
				rig_run(r);
				if (!c.done)
					break;
				bool both = r->server_status == EAP_SUCCESS &&
					    r->client_status == EAP_SUCCESS;
				/* an identity is a hint, and a shorter one another */
				assert_true(!both || (n == 1 && repaired && at >= 5));
			}
		}
	}
	r->hook = NULL;
}

static void mutate_packet(struct eap_rig *r, unsigned n, uint8_t *packet, size_t *len)
{
	uint32_t roll;
	(void)n;
	rig_random(&r->random[2], &roll, sizeof(roll));
	if (roll % 8 == 0)
		packet[(roll >> 8) % *len] ^= (uint8_t)(1u << (roll >> 29));
	else if (roll % 64 == 1)
		*len = (roll >> 8) % *len;
	else if (roll % 64 == 2 && *len < 2000)
		*len += (roll >> 8) % 64;
}

static void test_random_mutations(void **state)
{
	struct eap_rig *r = *state;
	uint8_t a[EAP_MSK_LEN], b[EAP_MSK_LEN];
	struct pki other = pki_ca("O=Other, CN=CA");

	r->hook = mutate_packet;
	for (unsigned i = 0; i < 1500; i++) {
		rig_use_tls(r, versions[i % 2]);
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
	rig_set_client(r, pki_leaf(&other, PKI_P256, "CN=alice", "email:" RIG_USER), &r->ca);
	for (unsigned i = 0; i < 700; i++) {
		rig_use_tls(r, versions[i % 2]);
		rig_run(r);
		assert_int_not_equal(r->server_status, EAP_SUCCESS);
		assert_int_not_equal(r->client_status, EAP_SUCCESS);
	}
	pki_free(&other);
	r->hook = NULL;
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
	    RIG_TEST(test_fragments_both_ways), RIG_TEST(test_bad_fragments),
	    RIG_TEST(test_endless_fragments),	RIG_TEST(test_success_is_earned),
	    RIG_TEST(test_data_after_the_end),	RIG_TEST(test_every_length_of_every_packet),
	    RIG_TEST(test_random_mutations),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
