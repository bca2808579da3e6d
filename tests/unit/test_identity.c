/* SPDX-License-Identifier: MIT */
#include "vectors.h"
#include "base/mem.h"
#include "crypto/dn.h"
#include "crypto/identity.h"

static struct identity *parse(const char *text)
{
	struct err err = {{0}};
	struct identity *i = identity_parse(text, &err);
	if (!i)
		fail_msg("%s: %s", text, err.text);
	return i;
}

/* --- text */

static void test_parse_and_format(void **state)
{
	static const struct {
		const char *text;
		uint8_t type;
		const char *shown; /* NULL: as the text */
	} rows[] = {
	    {"%any", IDENTITY_NONE, NULL},
	    {"192.0.2.1", IDENTITY_IP4, NULL},
	    {"2001:db8::1", IDENTITY_IP6, NULL},
	    {"home.example.org", IDENTITY_FQDN, NULL},
	    {"@home", IDENTITY_FQDN, "home"},
	    {"@192.0.2.1", IDENTITY_FQDN, NULL},
	    {"@CN=root", IDENTITY_FQDN, NULL},
	    {"@a@b", IDENTITY_FQDN, NULL},
	    {"@@ann", IDENTITY_EMAIL, NULL},
	    {"@@CN=x@y", IDENTITY_EMAIL, NULL},
	    {"*.example.org", IDENTITY_FQDN, NULL},
	    {"ann@example.org", IDENTITY_EMAIL, NULL},
	    {"@@ann@example.org", IDENTITY_EMAIL, "ann@example.org"},
	    {"*@example.org", IDENTITY_EMAIL, NULL},
	    {"@#00ffAB", IDENTITY_KEY_ID, "@#00ffab"},
	    {"C=CH, O=Example, CN=moon", IDENTITY_DN, NULL},
	    {" c = CH,O=  Example Ltd  ,cn=moon", IDENTITY_DN, "C=CH, O=Example Ltd, CN=moon"},
	    {"/C=CH/O=A, B/CN=x", IDENTITY_DN, NULL},
	    {"CN=a\\, b\\2b\\ ", IDENTITY_DN, "CN=a\\, b\\+ "},
	    {"1.3.6.1.4.1.32473.1=x, 2.5.4.3=y", IDENTITY_DN, "1.3.6.1.4.1.32473.1=x, CN=y"},
	    {"DC=org, emailAddress=a@b.c", IDENTITY_DN, "DC=org, E=a@b.c"},
	    {"CN=M\303\274ller", IDENTITY_DN, "CN=M?ller"},
	};
	char buf[600];

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
		struct identity *i = parse(rows[n].text);
		assert_int_equal(i->type, rows[n].type);
		if (i->type != IDENTITY_NONE)
			assert_true(identity_is_valid(i->type, i->data, i->len));
		const char *shown = identity_format(i, buf, sizeof(buf));
		if (rows[n].text[0] == '/')
			shown = "/C=CH/O=A, B/CN=x"; /* shown with commas, escaped */
		assert_string_equal(shown, rows[n].shown ? rows[n].shown : rows[n].text);
		struct identity *back = parse(buf);
		if (i->type != IDENTITY_DN || !strchr(buf, '?'))
			assert_int_equal(back->type == i->type && identity_equal(back, i), 1);
		/* However little room there is. */
		for (size_t room = 1; room < 20; room++) {
			char *small = malloc(room);
			assert_non_null(small);
			assert_true(strlen(identity_format(i, small, room)) < room);
			free(small);
		}
		free(back);
		free(i);
	}
}

static void test_parse_refuses(void **state)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
	    {"", "empty"},
	    {"@", "empty"},
	    {"@@", "empty"},
	    {"@#", "hexadecimal"},
	    {"@#abc", "hexadecimal"},
	    {"@#zz", "hexadecimal"},
	    {"*", "%any"},
	    {"a*.example.org", "start"},
	    {"*.*.example.org", "start"},
	    {"*@", "start"},
	    {"*.", "start"},
	    {"a\nb.example.org", "printable"},
	    {"C=", "empty"},
	    {"CN=a,", "NAME=VALUE"},
	    {"CN=a,,O=b", ",O"},
	    {"=x", "NAME=VALUE"},
	    {"XY=a", "XY"},
	    {"SN=a", "surname"},
	    {"3.1=a", "3.1"},
	    {"1.40=a", "1.40"},
	    {"1..2=a", "1..2"},
	    {"2=a", "2:"},
	    {"CN=\\00", "UTF-8"},
	    {"CN=\\ff", "UTF-8"},
	    {"CN=\\c0\\80", "UTF-8"},
	};
	struct err err;
	char longest[2000];

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
		struct identity *i = identity_parse(rows[n].text, &err);
		if (i)
			fail_msg("\"%s\" was taken", rows[n].text);
		if (!strstr(err.text, rows[n].says))
			fail_msg("\"%s\": %s", rows[n].text, err.text);
	}
	memset(longest, 'a', sizeof(longest));
	longest[IDENTITY_MAX + 1] = '\0';
	assert_null(identity_parse(longest, &err));
	memcpy(longest, "CN=", 3);
	assert_null(identity_parse(longest, &err));
	assert_non_null(strstr(err.text, "too long"));
	longest[IDENTITY_MAX + 1] = 'a';
	longest[sizeof(longest) - 1] = '\0';
	assert_null(identity_parse(longest, &err));
	assert_null(identity_new(IDENTITY_FQDN, longest, IDENTITY_MAX + 1));
}

/* --- validity */

static void test_validity(void **state)
{
	static const struct {
		uint8_t type;
		const char *hex;
		bool valid;
	} rows[] = {
	    {IDENTITY_NONE, "", false},
	    {IDENTITY_IP4, "c0000201", true},
	    {IDENTITY_IP4, "c00002", false},
	    {IDENTITY_IP4, "c000020100", false},
	    {IDENTITY_IP6, "20010db8000000000000000000000001", true},
	    {IDENTITY_IP6, "c0000201", false},
	    {IDENTITY_FQDN, "61", true},
	    {IDENTITY_FQDN, "", false},
	    {IDENTITY_FQDN, "610062", false},
	    {IDENTITY_FQDN, "6100", false},
	    {IDENTITY_FQDN, "610a", false},
	    {IDENTITY_FQDN, "617f", false},
	    {IDENTITY_EMAIL, "614062", true},
	    {IDENTITY_EMAIL, "61406200", false},
	    {IDENTITY_KEY_ID, "00", true},
	    {IDENTITY_KEY_ID, "", false},
	    {10, "3000", false},
	    {12, "61", false},
	    {201, "61", false},
	    /* CN=a */
	    {IDENTITY_DN, "300c 310a 3008 0603550403 0c0161", true},
	    {IDENTITY_DN, "", false},
	    {IDENTITY_DN, "3000", false},				   /* no name */
	    {IDENTITY_DN, "3002 3100", false},				   /* an empty set */
	    {IDENTITY_DN, "300c 310a 3008 0603550403 0c0100", false},	   /* NUL */
	    {IDENTITY_DN, "300c 310a 3008 0603550403 0c01ff", false},	   /* no UTF-8 */
	    {IDENTITY_DN, "300c 310a 3008 0603550403 1301fc", true},	   /* taken as Latin-1 */
	    {IDENTITY_DN, "300b 3109 3007 0603550403 0c00", true},	   /* an empty value */
	    {IDENTITY_DN, "300d 310b 3009 0603550403 1e020061", true},	   /* UTF-16 */
	    {IDENTITY_DN, "300d 310b 3009 0603550403 1e020000", false},	   /* NUL in it */
	    {IDENTITY_DN, "300d 310b 3009 0603550403 1e02d800", false},	   /* half a pair */
	    {IDENTITY_DN, "300e 310c 300a 0603550403 1e03006100", false},  /* half a character */
	    {IDENTITY_DN, "300f 310d 300b 0603550403 1c0400000061", true}, /* UTF-32 */
	    {IDENTITY_DN, "300f 310d 300b 0603550403 1c0480000061", false},
	    {IDENTITY_DN, "300c 310a 3008 0603550403 0c0161 00", false},   /* something behind */
	    {IDENTITY_DN, "30810c 310a 3008 0603550403 0c0161", false},	   /* longer than need be */
	    {IDENTITY_DN, "3080 310a 3008 0603550403 0c0161 0000", false}, /* indefinite */
	    {IDENTITY_DN, "300c 310a 3008 0603558003 0c0161", false},	   /* OID padded */
	    {IDENTITY_DN, "300c 310a 3008 0603550483 0c0161", false},	   /* OID cut */
	    {IDENTITY_DN, "3009 3107 3005 0600 0c0161", false},		   /* no OID */
	    {IDENTITY_DN, "300c 310a 3008 0603550403 030161", true}, /* no text: a bit string */
	    /* CN=a + CN=b: a type twice */
	    {IDENTITY_DN, "3016 3114 3008 0603550403 0c0161 3008 0603550403 0c0162", false},
	    /* CN=a + O=b */
	    {IDENTITY_DN, "3016 3114 3008 0603550403 0c0161 3008 060355040a 0c0162", true},
	};
	char name[32];

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
		struct vector v = vector_of(rows[n].hex);
		uint8_t *p = vector_exact(v.b, v.len);
		if (identity_is_valid(rows[n].type, p, v.len) != rows[n].valid)
			fail_msg("row %zu: %s", n, rows[n].hex);
		free(p);
		uint8_t seed[VECTOR_MAX] = {rows[n].type};
		memcpy(seed + 1, v.b, v.len);
		snprintf(name, sizeof(name), "id-%zu", n);
		vector_save("identity", name, seed, v.len + 1);
	}
}

static void test_dn_truncated(void **state)
{
	struct identity *i = parse("C=CH, O=Example, OU=Research, CN=moon.example.org");
	struct identity *other = parse("C=CH, CN=*");

	(void)state;
	for (size_t len = 0; len <= i->len; len++) {
		uint8_t *p = vector_exact(i->data, len);
		assert_int_equal(identity_is_valid(IDENTITY_DN, p, len), len == i->len);
		assert_int_equal(dn_equal(p, len, i->data, i->len), len == i->len);
		assert_false(dn_matches(other->data, other->len, p, len));
		free(p);
	}
	free(other);
	free(i);
}

/* --- comparison */

static void test_matches(void **state)
{
	static const struct {
		const char *policy, *name;
		bool fits;
	} rows[] = {
	    {"%any", "a.example.org", true},
	    {"%any", "CN=x", true},
	    {"%any", "@#00", true},
	    {"a.example.org", "A.EXAMPLE.org", true},
	    {"a.example.org", "b.example.org", false},
	    {"a.example.org", "a.example.org.", false},
	    {"a.example.org", "@@a.example.org", false}, /* another type */
	    {"*.example.org", "a.example.org", true},
	    {"*.example.org", "a.b.Example.Org", true},
	    {"*.example.org", "example.org", false},
	    {"*.example.org", "@.example.org", false}, /* the bare end */
	    {"*.example.org", "aexample.org", false},
	    {"*.example.org", "a.example.org.evil", false},
	    {"*.example.org", "a@x.example.org", false},
	    {"*@example.org", "ann@example.org", true},
	    {"*@example.org", "ann@EXAMPLE.org", true},
	    {"*@example.org", "ann@a.example.org", false},
	    {"*@example.org", "@@@example.org", false},
	    {"*@example.org", "ann@example.org@evil.org", false},
	    {"192.0.2.1", "192.0.2.1", true},
	    {"192.0.2.1", "192.0.2.2", false},
	    {"192.0.2.1", "@192.0.2.1", false},
	    {"2001:db8::1", "2001:db8::1", true},
	    {"@#aabb", "@#aabb", true},
	    {"@#aabb", "@#aabbcc", false},
	    {"@#61", "a", false},
	    {"C=CH, O=Ex, CN=moon", "C=CH, O=Ex, CN=moon", true},
	    {"C=CH, O=Ex, CN=moon", "C=ch, O=EX, CN=Moon", true},
	    {"C=CH, O=A  B, CN=moon", "C=CH, O=A B, CN=moon", true},
	    {"C=CH, O=AB, CN=moon", "C=CH, O=A B, CN=moon", false},
	    {"CN=a", "CN=\\ a\\ ", true},
	    {"CN=a", "CN=a\\ b", false},
	    {"C=CH, O=Ex, CN=moon", "O=Ex, C=CH, CN=moon", false},
	    {"C=CH, O=Ex, CN=moon", "C=CH, O=Ex", false},
	    {"C=CH, O=Ex", "C=CH, O=Ex, CN=moon", false},
	    {"C=CH, O=Ex, CN=*", "C=CH, O=Ex, CN=moon", true},
	    {"C=*, O=Ex, CN=*", "C=CH, O=Ex, CN=moon", true},
	    {"C=CH, O=Ex, CN=*", "C=CH, O=Other, CN=moon", false},
	    {"C=CH, O=Ex, CN=*", "C=CH, O=Ex, OU=moon", false},
	    {"C=CH, CN=moon", "C=CH, CN=*", false}, /* a stranger's star is a star */
	    {"C=CH, CN=m*", "C=CH, CN=moon", false},
	    {"CN=\303\274", "CN=\303\274", true},
	    {"CN=\303\274", "CN=\303\234", false}, /* no case beyond ASCII */
	};

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
		struct identity *p = parse(rows[n].policy), *i = parse(rows[n].name);
		if (identity_matches(p, i) != rows[n].fits)
			fail_msg("policy %s, name %s", rows[n].policy, rows[n].name);
		struct identity *copy = identity_copy(i);
		assert_true(identity_equal(copy, i));
		free(copy);
		free(i);
		free(p);
	}
}

static void test_hostile_never_matches(void **state)
{
	struct identity *pattern = parse("*.example.org"), *any = parse("%any");
	static const char nul[] = "a\0.example.org";
	struct identity *bad[] = {
	    identity_new(IDENTITY_FQDN, nul, sizeof(nul) - 1),
	    identity_new(IDENTITY_FQDN, NULL, 0),
	    identity_new(IDENTITY_NONE, NULL, 0),
	    identity_new(IDENTITY_DN, "\x30\x00", 2),
	    identity_new(IDENTITY_IP4, "abc", 3),
	};
	struct identity *star = identity_new(IDENTITY_FQDN, "*.example.org", 13);

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(bad); n++) {
		char buf[64];
		assert_false(identity_matches(pattern, bad[n]));
		assert_false(identity_matches(any, bad[n]));
		assert_true(strlen(identity_format(bad[n], buf, sizeof(buf))) < sizeof(buf));
		free(bad[n]);
	}
	/* Names that would read as another type's. */
	static const struct {
		uint8_t type;
		const char *name, *shown;
	} odd[] = {
	    {IDENTITY_FQDN, "@a", "?a"},	{IDENTITY_FQDN, "#00", "?00"},
	    {IDENTITY_FQDN, "%any", "@%any"},	{IDENTITY_FQDN, "::1", "@::1"},
	    {IDENTITY_EMAIL, "@a@b", "@@@a@b"}, {IDENTITY_EMAIL, "192.0.2.1", "@@192.0.2.1"},
	};
	for (size_t n = 0; n < ARRAY_LEN(odd); n++) {
		char buf[64];
		struct identity *i = identity_new(odd[n].type, odd[n].name, strlen(odd[n].name));
		assert_string_equal(identity_format(i, buf, sizeof(buf)), odd[n].shown);
		free(i);
	}
	/* The text of a policy is not a name that fits it. */
	assert_false(identity_matches(pattern, star));
	assert_true(identity_matches(any, star));
	free(star);
	free(any);
	free(pattern);
}

/* The same name in other string types, and a set in another order. */
static void test_dn_encodings(void **state)
{
	static const char *const same[] = {
	    "300c 310a 3008 0603550403 0c0161",	      "300c 310a 3008 0603550403 130141",
	    "300c 310a 3008 0603550403 160161",	      "300d 310b 3009 0603550403 1e020041",
	    "300f 310d 300b 0603550403 1c0400000061",
	};
	struct vector ab = vector_of("3016 3114 3008 0603550403 0c0161 3008 060355040a 0c0162");
	struct vector ba = vector_of("3016 3114 3008 060355040a 130162 3008 0603550403 0c0161");
	struct vector aa = vector_of("3016 310a 3008 0603550403 0c0161 3108 060355040a 0c0162");
	char buf[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(same); i++)
		for (size_t j = 0; j < ARRAY_LEN(same); j++) {
			struct vector a = vector_of(same[i]), b = vector_of(same[j]);
			assert_true(dn_equal(a.b, a.len, b.b, b.len));
		}
	assert_true(dn_equal(ab.b, ab.len, ba.b, ba.len));
	assert_false(dn_equal(ab.b, ab.len, aa.b, aa.len));
	struct vector one = vector_of(same[0]);
	assert_false(dn_equal(ab.b, ab.len, one.b, one.len));
	assert_false(dn_equal(one.b, one.len, ab.b, ab.len));
	assert_string_equal(dn_format(ab.b, ab.len, buf, sizeof(buf)), "CN=a + O=b");
	struct vector bits = vector_of("300d 310b 3009 060355040d 03020761");
	assert_string_equal(dn_format(bits.b, bits.len, buf, sizeof(buf)), "description=#0761");
	struct vector odd = vector_of("300c 310a 3008 0603550403 13011b");
	assert_string_equal(dn_format(odd.b, odd.len, buf, sizeof(buf)), "CN=?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_parse_and_format), cmocka_unit_test(test_parse_refuses),
	    cmocka_unit_test(test_validity),	     cmocka_unit_test(test_dn_truncated),
	    cmocka_unit_test(test_matches),	     cmocka_unit_test(test_hostile_never_matches),
	    cmocka_unit_test(test_dn_encodings),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
