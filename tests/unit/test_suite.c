/* SPDX-License-Identifier: MIT */
/*
 * Suites: strongSwan's notation as a table, what is refused and why, transforms as they go on the
 * wire, and the choice among offers as RFC 7296 2.7 and 3.3 have it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"
#include "crypto/suite.h"

/* A proposal as text: "encr,encr/integ/prf/group/esn noesn". */
static const char *show(const struct suite_proposal *p, char *buf, size_t room)
{
	size_t n = 0;
	buf[0] = '\0';
#define SHOW(fmt, ...) n += (size_t)snprintf(buf + n, room - n, fmt, __VA_ARGS__)
	for (size_t i = 0; i < p->encr_count; i++)
		SHOW("%s%s", i ? "," : "", p->encr[i]->name);
	SHOW("%s", "/");
	for (size_t i = 0; i < p->integ_count; i++)
		SHOW("%s%s", i ? "," : "", p->integ[i]->name);
	SHOW("%s", "/");
	for (size_t i = 0; i < p->prf_count; i++)
		SHOW("%s%s", i ? "," : "", p->prf[i]->name);
	SHOW("%s", "/");
	for (size_t i = 0; i < p->group_count; i++)
		SHOW("%s%s", i ? "," : "", p->group[i]->name);
	SHOW("/%s%s", p->esn ? "esn" : "", p->no_esn ? "noesn" : "");
#undef SHOW
	return buf;
}

static const struct {
	enum suite_use use;
	const char *text, *want;
} parsed[] = {
    {SUITE_IKE, "aes128gcm16-prfsha256-x25519", "aes128-gcm//prfsha256/x25519/"},
    {SUITE_IKE, "aes256gcm16-prfsha384-ecp384", "aes256-gcm//prfsha384/ecp384/"},
    {SUITE_IKE, "aes192gcm16-prfsha512-curve25519", "aes192-gcm//prfsha512/x25519/"},
    {SUITE_IKE, "chacha20poly1305-prfsha256-ecp521", "chacha20-poly1305//prfsha256/ecp521/"},
    {SUITE_IKE, "aes128-sha256-modp2048", "aes128-cbc/hmac-sha-256-128/prfsha256/modp2048/"},
    {SUITE_IKE, "aes192-sha384-modp3072", "aes192-cbc/hmac-sha-384-192/prfsha384/modp3072/"},
    {SUITE_IKE, "aes256-sha512-modp4096", "aes256-cbc/hmac-sha-512-256/prfsha512/modp4096/"},
    {SUITE_IKE, "aes-sha1-modp2048", "aes128-cbc/hmac-sha-1-96/prfsha1/modp2048/"},
    {SUITE_IKE, "aes256-sha1-prfsha256-ecp256", "aes256-cbc/hmac-sha-1-96/prfsha256/ecp256/"},
    {SUITE_IKE, "AES128GCM16-PRFSHA256-X25519", "aes128-gcm//prfsha256/x25519/"},
    /* several of a kind, in the order written; twice is once */
    {SUITE_IKE, "aes256-aes128-sha256-sha512-ecp256-x25519-modp2048",
     "aes256-cbc,aes128-cbc/hmac-sha-256-128,hmac-sha-512-256/prfsha256,prfsha512/"
     "ecp256,x25519,modp2048/"},
    {SUITE_IKE, "aes128gcm16-aes128gcm128-prfsha256-prfsha256-x25519-curve25519",
     "aes128-gcm//prfsha256/x25519/"},
    /* strongSwan: an AEAD's HMAC says the PRF only */
    {SUITE_IKE, "aes256gcm16-sha256-ecp256", "aes256-gcm//prfsha256/ecp256/"},
    {SUITE_IKE, "aes256gcm16-sha256-prfsha512-ecp256", "aes256-gcm//prfsha512/ecp256/"},
    {SUITE_ESP, "aes128gcm16", "aes128-gcm////esnnoesn"},
    {SUITE_ESP, "aes128gcm16-sha256", "aes128-gcm////esnnoesn"},
    {SUITE_ESP, "aes256gcm16-x25519-esn", "aes256-gcm///x25519/esn"},
    {SUITE_ESP, "aes256-sha384-ecp384-noesn", "aes256-cbc/hmac-sha-384-192//ecp384/noesn"},
    {SUITE_ESP, "aes256-sha256-esn-noesn", "aes256-cbc/hmac-sha-256-128///esnnoesn"},
    {SUITE_ESP, "aes128gmac", "aes128-gmac////esnnoesn"},
    {SUITE_ESP, "aes256gmac-aes192gmac-x25519-esn", "aes256-gmac,aes192-gmac///x25519/esn"},
    {SUITE_ESP, "aes128gcm16-chacha20poly1305", "aes128-gcm,chacha20-poly1305////esnnoesn"},
    {SUITE_ESP, "null-sha256", "null/hmac-sha-256-128///esnnoesn"},
    {SUITE_AH, "sha256", "/hmac-sha-256-128///esnnoesn"},
    {SUITE_AH, "sha512-sha1-modp2048-esn", "/hmac-sha-512-256,hmac-sha-1-96//modp2048/esn"},
};

static void test_parse(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(parsed); i++) {
		struct suite_list list = {0};
		struct err err = {""};
		char buf[512];
		if (suite_parse(parsed[i].use, parsed[i].text, &list, &err) != 0)
			fail_msg("%s: %s", parsed[i].text, err.text);
		assert_int_equal(list.count, 1);
		assert_string_equal(show(&list.at[0], buf, sizeof(buf)), parsed[i].want);
	}
}

static const struct {
	enum suite_use use;
	const char *text, *why;
} refused[] = {
    {SUITE_IKE, "", "\"\" is no algorithm"},
    {SUITE_IKE, "aes128gcm16-prfsha256-x25519-", "\"\" is no algorithm"},
    {SUITE_IKE, "-aes128gcm16", "\"\" is no algorithm"},
    {SUITE_IKE, "aes128gcm16--x25519", "\"\" is no algorithm"},
    {SUITE_IKE, "aes128gcm16,x25519", "\"aes128gcm16,x25519\" is no algorithm"},
    {SUITE_IKE, "rot13-sha256-x25519", "\"rot13\" is no algorithm that IKE knows"},
    {SUITE_ESP, "camellia128-sha256", "\"camellia128\" is no algorithm that ESP knows"},
    {SUITE_IKE, "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff",
     "\"aaaaaaaaaabbbbbbbbbbccccccccccdddddddddd\" is no algorithm"},
    {SUITE_IKE, "3des-sha1-modp2048", "RFC 8221 section 5"},
    {SUITE_ESP, "des-sha256", "RFC 8221 section 5"},
    {SUITE_ESP, "blowfish256-sha256", "RFC 9395"},
    {SUITE_IKE, "aes128-md5-modp2048", "RFC 8247 sections 2.2 and 2.3"},
    {SUITE_IKE, "aes128-sha256-prfmd5-modp2048", "RFC 8247 sections 2.2 and 2.3"},
    {SUITE_IKE, "aes128-sha256-modp768", "RFC 8247 section 2.4"},
    {SUITE_IKE, "aes128-sha256-modp1024", "RFC 8247 section 2.4"},
    {SUITE_IKE, "aes128-sha256-modp1024", "write x25519, ecp256 or modp2048"},
    {SUITE_ESP, "aes128gcm16-modp1536", "RFC 8247 section 2.4"},
    {SUITE_IKE, "aes128-sha256-modp2048s256", "RFC 8247 section 2.4"},
    {SUITE_IKE, "aes128gcm8-prfsha256-x25519", "write aes128gcm16"},
    {SUITE_IKE, "aes128gcm16-aes128-sha256-prfsha256-x25519", "RFC 5282 section 8"},
    {SUITE_ESP, "aes128-aes128gcm16-sha256", "RFC 5282 section 8"},
    {SUITE_IKE, "sha256-prfsha256-x25519", "no cipher"},
    {SUITE_ESP, "x25519", "no cipher"},
    {SUITE_ESP, "sha256", "no cipher"},
    {SUITE_IKE, "aes128-prfsha256-x25519", "no integrity algorithm"},
    {SUITE_ESP, "aes256", "no integrity algorithm"},
    {SUITE_ESP, "null", "no integrity algorithm"},
    {SUITE_IKE, "null-sha256-x25519", "must be encrypted"},
    {SUITE_IKE, "aes128gmac-prfsha256-x25519", "aes128gmac: IKE messages must be encrypted"},
    {SUITE_ESP, "aes128gmac-null-sha256", "RFC 5282 section 8"},
    {SUITE_IKE, "aes128gcm16-x25519", "add prfsha256"},
    {SUITE_IKE, "aes128gcm16-prfsha256", "add x25519"},
    {SUITE_IKE, "aes128-sha256", "add x25519"},
    {SUITE_IKE, "aes128gcm16-prfsha256-x25519-esn", "leave it away"},
    {SUITE_IKE, "aes128gcm16-prfsha256-x25519-noesn", "leave it away"},
    {SUITE_ESP, "aes128gcm16-prfsha256", "belongs into the IKE proposal"},
    {SUITE_AH, "sha256-prfsha256", "belongs into the IKE proposal"},
    {SUITE_AH, "aes128-sha256", "AH encrypts nothing"},
    {SUITE_AH, "esn", "no integrity algorithm"},
};

static void test_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		struct suite_list list = {0};
		struct err err = {""};
		if (suite_parse(refused[i].use, refused[i].text, &list, &err) != -1)
			fail_msg("%s is taken", refused[i].text);
		if (!strstr(err.text, refused[i].why))
			fail_msg("%s: %s (without: %s)", refused[i].text, err.text, refused[i].why);
		assert_int_equal(list.count, 0);
	}
}

static void test_lists(void **state)
{
	(void)state;
	struct suite_list list = {0};
	struct err err = {""};
	for (int i = 0; i < SUITE_PROPOSALS_MAX; i++)
		assert_int_equal(
		    suite_parse(SUITE_ESP, i % 2 ? "aes128gcm16" : "aes256gcm16", &list, &err), 0);
	assert_int_equal(list.count, SUITE_PROPOSALS_MAX);
	assert_string_equal(list.at[0].encr[0]->name, "aes256-gcm");
	assert_string_equal(list.at[1].encr[0]->name, "aes128-gcm");
	assert_int_equal(suite_parse(SUITE_ESP, "aes128gcm16", &list, &err), -1);
	assert_non_null(strstr(err.text, "more than 8"));
	assert_int_equal(list.count, SUITE_PROPOSALS_MAX);
	list.count = SUITE_PROPOSALS_MAX - 1; /* "default" is two */
	assert_int_equal(suite_parse(SUITE_ESP, "default", &list, &err), -1);
	assert_int_equal(list.count, SUITE_PROPOSALS_MAX - 1);
	list.count = 1;
	assert_int_equal(suite_parse(SUITE_ESP, "default", &list, &err), 0);
	assert_int_equal(list.count, 3);
}

static void test_defaults(void **state)
{
	(void)state;
	struct suite_list list;
	char buf[512];
	suite_defaults(SUITE_IKE, &list);
	assert_int_equal(list.count, 2);
	assert_string_equal(show(&list.at[0], buf, sizeof(buf)),
			    "aes128-gcm,aes256-gcm,chacha20-poly1305//"
			    "prfsha256,prfsha384,prfsha512/"
			    "x25519,ecp256,ecp384,ecp521,modp2048,modp3072,modp4096/");
	assert_string_equal(show(&list.at[1], buf, sizeof(buf)),
			    "aes128-cbc,aes256-cbc/"
			    "hmac-sha-256-128,hmac-sha-384-192,hmac-sha-512-256/"
			    "prfsha256,prfsha384,prfsha512/"
			    "x25519,ecp256,ecp384,ecp521,modp2048,modp3072,modp4096/");
	suite_defaults(SUITE_ESP, &list);
	assert_int_equal(list.count, 2);
	assert_string_equal(show(&list.at[0], buf, sizeof(buf)),
			    "aes128-gcm,aes256-gcm,chacha20-poly1305////esnnoesn");
	assert_string_equal(show(&list.at[1], buf, sizeof(buf)),
			    "aes128-cbc,aes256-cbc/"
			    "hmac-sha-256-128,hmac-sha-384-192,hmac-sha-512-256///esnnoesn");
	suite_defaults(SUITE_AH, &list);
	assert_int_equal(list.count, 1);
	assert_string_equal(show(&list.at[0], buf, sizeof(buf)),
			    "/hmac-sha-256-128,hmac-sha-384-192,hmac-sha-512-256///esnnoesn");
}

static struct suite_proposal must_parse(enum suite_use use, const char *text)
{
	struct suite_list list = {0};
	struct err err = {""};
	if (suite_parse(use, text, &list, &err) != 0)
		fail_msg("%s: %s", text, err.text);
	return list.at[0];
}

/* Transforms as text: "1:20/128 2:5 4:31". */
static const char *show_transforms(const struct suite_transform *t, size_t count, char *buf)
{
	size_t n = 0;
	buf[0] = '\0';
	for (size_t i = 0; i < count; i++) {
		n += (size_t)sprintf(buf + n, "%s%u:%u", i ? " " : "", t[i].type, t[i].id);
		if (t[i].key_bits)
			n += (size_t)sprintf(buf + n, "/%u", t[i].key_bits);
	}
	return buf;
}

static void test_transforms(void **state)
{
	(void)state;
	static const struct {
		enum suite_use use;
		const char *text;
		bool groups;
		const char *want;
	} rows[] = {
	    {SUITE_IKE,
	     "aes128gcm16-aes256gcm16-chacha20poly1305-prfsha256-prfsha384-x25519-ecp256", true,
	     "1:20/128 1:20/256 1:28 2:5 2:6 4:31 4:19"},
	    {SUITE_IKE, "aes256-aes192-aes128-sha256-sha384-sha512-sha1-modp2048-modp3072-modp4096",
	     true, "1:12/256 1:12/192 1:12/128 2:5 2:6 2:7 2:2 3:12 3:13 3:14 3:2 4:14 4:15 4:16"},
	    {SUITE_IKE, "aes192gcm16-prfsha512-ecp384-ecp521", true, "1:20/192 2:7 4:20 4:21"},
	    {SUITE_ESP, "aes128gmac-aes256gmac-noesn", true, "1:21/128 1:21/256 5:0"},
	    {SUITE_ESP, "aes128gcm16-x25519", true, "1:20/128 4:31 5:1 5:0"},
	    {SUITE_ESP, "aes128gcm16-x25519", false, "1:20/128 5:1 5:0"},
	    {SUITE_ESP, "aes128gcm16-esn", true, "1:20/128 5:1"},
	    {SUITE_ESP, "aes128-sha256-noesn", true, "1:12/128 3:12 5:0"},
	    {SUITE_ESP, "null-sha1", true, "1:11 3:2 5:1 5:0"},
	    {SUITE_AH, "sha256-ecp256", true, "3:12 4:19 5:1 5:0"},
	    {SUITE_AH, "sha256-ecp256", false, "3:12 5:1 5:0"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct suite_transform t[SUITE_TRANSFORMS_MAX];
		char buf[512];
		struct suite_proposal p = must_parse(rows[i].use, rows[i].text);
		size_t n = suite_transforms(rows[i].use, &p, rows[i].groups, t);
		assert_string_equal(show_transforms(t, n, buf), rows[i].want);
	}
}

/* --- choosing */

static size_t read_transforms(const char *text, struct suite_transform *out)
{
	size_t n = 0;
	unsigned type, id, bits;
	int used;
	while (sscanf(text, " %u:%u%n", &type, &id, &used) == 2) {
		text += used;
		bits = 0;
		if (sscanf(text, "/%u%n", &bits, &used) == 1)
			text += used;
		out[n++] = (struct suite_transform){(uint8_t)type, (uint16_t)id, (uint16_t)bits};
	}
	assert_string_equal(text, "");
	return n;
}

struct choice {
	const char *ours, *offer, *ke, *want; /* want NULL: nothing fits */
};

static void check_choices(enum suite_use use, bool groups, const struct choice *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct suite_proposal p = must_parse(use, rows[i].ours);
		struct suite_transform t[64];
		char buf[SUITE_TEXT_MAX];
		struct suite s = {.esn = true}, before = s;
		size_t n = read_transforms(rows[i].offer, t);
		const struct kex_group *ke = rows[i].ke ? kex_by_name(rows[i].ke) : NULL;
		bool ok = suite_choose(use, &p, t, n, groups, ke, &s);
		if (ok != (rows[i].want != NULL))
			fail_msg("%s, offered %s: %s", rows[i].ours, rows[i].offer,
				 ok ? suite_format(use, &s, buf) : "nothing");
		if (ok)
			assert_string_equal(suite_format(use, &s, buf), rows[i].want);
		else
			assert_memory_equal(&s, &before, sizeof(s));
	}
}

static void test_choose_ike(void **state)
{
	(void)state;
	static const struct choice rows[] = {
	    {"aes128gcm16-prfsha256-x25519", "1:20/128 2:5 4:31", NULL,
	     "aes128-gcm16/prfsha256/x25519"},
	    /* our order decides, not theirs */
	    {"aes256gcm16-aes128gcm16-prfsha384-prfsha256-x25519",
	     "1:20/128 1:20/256 2:5 2:6 4:19 4:31", NULL, "aes256-gcm16/prfsha384/x25519"},
	    {"chacha20poly1305-prfsha256-ecp256", "1:20/128 1:28 2:5 4:19", NULL,
	     "chacha20-poly1305/prfsha256/ecp256"},
	    {"aes256-sha256-modp2048", "1:12/256 2:5 3:12 4:14", NULL,
	     "aes256-cbc/hmac-sha-256-128/prfsha256/modp2048"},
	    /* key lengths: another, none where one must be, one where none may be */
	    {"aes128gcm16-prfsha256-x25519", "1:20/256 2:5 4:31", NULL, NULL},
	    {"aes128gcm16-prfsha256-x25519", "1:20 2:5 4:31", NULL, NULL},
	    {"aes128-sha256-x25519", "1:12 2:5 3:12 4:31", NULL, NULL},
	    {"chacha20poly1305-prfsha256-x25519", "1:28/256 2:5 4:31", NULL, NULL},
	    /* GCM is not CBC */
	    {"aes128gcm16-prfsha256-x25519", "1:12/128 2:5 3:12 4:31", NULL, NULL},
	    /* a type of ours is not offered */
	    {"aes128gcm16-prfsha256-x25519", "2:5 4:31", NULL, NULL},
	    {"aes128gcm16-prfsha256-x25519", "1:20/128 4:31", NULL, NULL},
	    {"aes128gcm16-prfsha256-x25519", "1:20/128 2:5", NULL, NULL},
	    {"aes128gcm16-prfsha256-x25519", "1:20/128 2:5 4:0", NULL, NULL},
	    {"aes128-sha256-x25519", "1:12/128 2:5 4:31", NULL, NULL},
	    {"aes128-sha256-x25519", "1:12/128 2:5 3:0 4:31", NULL, NULL},
	    {"aes128gcm16-prfsha256-x25519", "", NULL, NULL},
	    /* AEAD: integrity absent or NONE, nothing else */
	    {"aes128gcm16-prfsha256-x25519", "1:20/128 2:5 3:0 4:31", NULL,
	     "aes128-gcm16/prfsha256/x25519"},
	    {"aes128gcm16-prfsha256-x25519", "1:20/128 2:5 3:12 3:0 4:31", NULL,
	     "aes128-gcm16/prfsha256/x25519"},
	    {"aes128gcm16-prfsha256-x25519", "1:20/128 2:5 3:12 4:31", NULL, NULL},
	    /* ids that others have */
	    {"aes128gcm16-prfsha256-x25519", "1:65000 1:20/128 2:1 2:5 4:2 4:31", NULL,
	     "aes128-gcm16/prfsha256/x25519"},
	    {"aes128gcm16-prfsha256-x25519", "1:20/128 2:5 4:2", NULL, NULL},
	    /* types that others have (RFC 9370): only with NONE */
	    {"aes128gcm16-prfsha256-x25519", "1:20/128 2:5 4:31 6:36", NULL, NULL},
	    {"aes128gcm16-prfsha256-x25519", "1:20/128 2:5 4:31 6:36 6:0", NULL,
	     "aes128-gcm16/prfsha256/x25519"},
	    {"aes128gcm16-prfsha256-x25519", "1:20/128 2:5 4:31 5:0", NULL, NULL},
	    /* the KE payload's group, when both have it */
	    {"aes128gcm16-prfsha256-x25519-ecp256", "1:20/128 2:5 4:31 4:19", "ecp256",
	     "aes128-gcm16/prfsha256/ecp256"},
	    {"aes128gcm16-prfsha256-x25519-ecp256", "1:20/128 2:5 4:31 4:19", "x25519",
	     "aes128-gcm16/prfsha256/x25519"},
	    {"aes128gcm16-prfsha256-x25519-ecp256", "1:20/128 2:5 4:31 4:14", "modp2048",
	     "aes128-gcm16/prfsha256/x25519"},
	    {"aes128gcm16-prfsha256-x25519-ecp256", "1:20/128 2:5 4:31", "ecp256",
	     "aes128-gcm16/prfsha256/x25519"},
	    /* our own answer read again */
	    {"aes256-aes128-sha512-sha256-ecp256-x25519", "1:12/128 2:5 3:12 4:31", NULL,
	     "aes128-cbc/hmac-sha-256-128/prfsha256/x25519"},
	};
	check_choices(SUITE_IKE, true, rows, ARRAY_LEN(rows));
}

static void test_choose_esp_with_groups(void **state)
{
	(void)state;
	static const struct choice rows[] = {
	    {"aes128gcm16", "1:20/128 5:1 5:0", NULL, "aes128-gcm16/esn"},
	    {"aes128gcm16", "1:20/128 5:0 5:1", NULL, "aes128-gcm16/esn"},
	    {"aes128gcm16", "1:20/128 5:0", NULL, "aes128-gcm16"},
	    {"aes128gcm16", "1:20/128", NULL, "aes128-gcm16"},
	    {"aes128gcm16-esn", "1:20/128 5:0", NULL, NULL},
	    {"aes128gcm16-esn", "1:20/128", NULL, NULL},
	    {"aes128gcm16-noesn", "1:20/128 5:1 5:0", NULL, "aes128-gcm16"},
	    {"aes128gcm16-noesn", "1:20/128 5:1", NULL, NULL},
	    {"aes128gcm16", "1:20/128 5:7", NULL, NULL},
	    /* key exchange: none of ours */
	    {"aes128gcm16", "1:20/128 4:0 5:1", NULL, "aes128-gcm16/esn"},
	    {"aes128gcm16", "1:20/128 4:31 4:0 5:1", NULL, "aes128-gcm16/esn"},
	    {"aes128gcm16", "1:20/128 4:31 5:1", NULL, NULL},
	    {"aes128gcm16", "1:20/128 4:31 5:1", "x25519", NULL},
	    /* some of ours: then there is one */
	    {"aes128gcm16-x25519", "1:20/128 4:31 5:1", NULL, "aes128-gcm16/x25519/esn"},
	    {"aes128gcm16-x25519", "1:20/128 4:0 4:31 5:1", NULL, "aes128-gcm16/x25519/esn"},
	    {"aes128gcm16-x25519", "1:20/128 4:0 5:1", NULL, NULL},
	    {"aes128gcm16-x25519", "1:20/128 5:1", NULL, NULL},
	    {"aes128gcm16-x25519-ecp256", "1:20/128 4:31 4:19 5:1", "ecp256",
	     "aes128-gcm16/ecp256/esn"},
	    /* ciphers and integrity */
	    {"aes256-aes128-sha256", "1:12/128 3:2 3:12 5:0", NULL, "aes128-cbc/hmac-sha-256-128"},
	    {"aes128-sha256", "1:12/128 5:0", NULL, NULL},
	    {"aes128-sha256", "1:12/128 3:0 5:0", NULL, NULL},
	    {"aes128-sha256", "1:12/128 3:13 5:0", NULL, NULL},
	    {"null-sha256", "1:11 3:12 5:0", NULL, "null/hmac-sha-256-128"},
	    {"aes128gcm16", "1:20/128 3:0 5:0", NULL, "aes128-gcm16"},
	    {"aes128gcm16", "1:20/128 2:5 5:0", NULL, NULL},
	};
	check_choices(SUITE_ESP, true, rows, ARRAY_LEN(rows));
}

/* In IKE_AUTH groups say nothing, whatever either side has. */
static void test_choose_esp_in_auth(void **state)
{
	(void)state;
	static const struct choice rows[] = {
	    {"aes128gcm16", "1:20/128 4:31 5:1", NULL, "aes128-gcm16/esn"},
	    {"aes128gcm16-x25519", "1:20/128 5:1", NULL, "aes128-gcm16/esn"},
	    {"aes128gcm16-x25519", "1:20/128 4:31 5:1", "x25519", "aes128-gcm16/esn"},
	    {"aes128gcm16-x25519", "1:20/128 4:14 5:1", NULL, "aes128-gcm16/esn"},
	};
	check_choices(SUITE_ESP, false, rows, ARRAY_LEN(rows));
}

static void test_choose_ah(void **state)
{
	(void)state;
	static const struct choice rows[] = {
	    {"sha256", "3:12 5:1", NULL, "hmac-sha-256-128/esn"},
	    {"sha512-sha256", "3:12 3:14", NULL, "hmac-sha-512-256"},
	    {"sha256", "3:2 5:1", NULL, NULL},
	    {"sha256", "3:0 5:1", NULL, NULL},
	    {"sha256", "5:1", NULL, NULL},
	    {"sha256", "1:12/128 3:12 5:1", NULL, NULL},
	    {"sha256", "1:0 3:12 5:1", NULL, NULL},
	};
	check_choices(SUITE_AH, true, rows, ARRAY_LEN(rows));
}

/* What one side of us offers, the other side of us takes, by its own first wish. */
static void test_defaults_meet(void **state)
{
	(void)state;
	static const enum suite_use uses[] = {SUITE_IKE, SUITE_ESP, SUITE_AH};
	static const char *const wants[][2] = {
	    {"aes128-gcm16/prfsha256/x25519", "aes128-cbc/hmac-sha-256-128/prfsha256/x25519"},
	    {"aes128-gcm16/esn", "aes128-cbc/hmac-sha-256-128/esn"},
	    {"hmac-sha-256-128/esn", NULL},
	};
	for (size_t i = 0; i < ARRAY_LEN(uses); i++) {
		struct suite_list list;
		suite_defaults(uses[i], &list);
		for (size_t k = 0; k < list.count; k++) {
			struct suite_transform t[SUITE_TRANSFORMS_MAX];
			struct suite s;
			char buf[SUITE_TEXT_MAX];
			size_t n = suite_transforms(uses[i], &list.at[k], true, t);
			assert_true(n <= SUITE_TRANSFORMS_MAX);
			assert_true(suite_choose(uses[i], &list.at[k], t, n, true, NULL, &s));
			assert_string_equal(suite_format(uses[i], &s, buf), wants[i][k]);
		}
	}
}

static void test_full_proposal_fits(void **state)
{
	(void)state;
	struct suite_proposal p = {.esn = true, .no_esn = true};
	struct suite_transform t[SUITE_TRANSFORMS_MAX];
	for (size_t i = 0; i < SUITE_LIST_MAX; i++) {
		p.encr[p.encr_count++] = alg_find("aes128-cbc");
		p.integ[p.integ_count++] = alg_find("hmac-sha-256-128");
		p.prf[p.prf_count++] = prf_by_id(5);
		p.group[p.group_count++] = kex_by_id(31);
	}
	assert_int_equal(suite_transforms(SUITE_IKE, &p, true, t), 4 * SUITE_LIST_MAX);
	assert_int_equal(suite_transforms(SUITE_ESP, &p, true, t), 3 * SUITE_LIST_MAX + 2);
}

static void test_format(void **state)
{
	(void)state;
	char buf[SUITE_TEXT_MAX];
	struct suite longest = {
	    .encr = alg_find("chacha20-poly1305"),
	    .integ = alg_find("hmac-sha-512-256"),
	    .prf = prf_by_id(7),
	    .group = kex_by_id(16),
	    .esn = true,
	};
	struct suite none = {0};
	assert_string_equal(suite_format(SUITE_IKE, &longest, buf),
			    "chacha20-poly1305/hmac-sha-512-256/prfsha512/modp4096/esn");
	assert_ptr_equal(suite_format(SUITE_AH, &longest, buf), buf);
	assert_string_equal(buf, "hmac-sha-512-256/prfsha512/modp4096/esn");
	assert_string_equal(suite_format(SUITE_ESP, &none, buf), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_parse),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_lists),
	    cmocka_unit_test(test_defaults),
	    cmocka_unit_test(test_transforms),
	    cmocka_unit_test(test_choose_ike),
	    cmocka_unit_test(test_choose_esp_with_groups),
	    cmocka_unit_test(test_choose_esp_in_auth),
	    cmocka_unit_test(test_choose_ah),
	    cmocka_unit_test(test_defaults_meet),
	    cmocka_unit_test(test_full_proposal_fits),
	    cmocka_unit_test(test_format),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
