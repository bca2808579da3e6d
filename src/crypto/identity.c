/* SPDX-License-Identifier: MIT */
/*
 * Identities.
 *
 * A struct identity is one allocation that the caller frees.  What a peer says of itself is
 * checked by identity_is_valid before it is made a struct identity; the comparisons refuse an
 * invalid one all the same.
 *
 * A "*" stands for something only in a policy: a peer whose own name has one fits no name but the
 * policy that takes everybody.  Otherwise "*.example.org" as a peer's name would fit the policy of
 * the same text, and a certificate with a wildcard could speak for a whole domain.
 */
#include "crypto/identity.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "base/addr.h"
#include "base/mem.h"
#include "crypto/dn.h"

struct identity *identity_new(uint8_t type, const void *data, size_t len)
{
	if (len > IDENTITY_MAX)
		return NULL;
	struct identity *i = mem_zalloc(sizeof(*i) + len);
	i->type = type;
	i->len = (uint16_t)len;
	if (len)
		memcpy(i->data, data, len);
	return i;
}

struct identity *identity_copy(const struct identity *i)
{
	return identity_new(i->type, i->data, i->len);
}

/* --- validity */

static bool text_is_valid(const uint8_t *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (s[i] < ' ' || s[i] == 0x7f)
			return false;
	return len > 0;
}

bool identity_is_valid(uint8_t type, const void *data, size_t len)
{
	if (len > IDENTITY_MAX)
		return false;
	switch (type) {
	case IDENTITY_IP4:
		return len == 4;
	case IDENTITY_IP6:
		return len == 16;
	case IDENTITY_FQDN:
	case IDENTITY_EMAIL:
		return text_is_valid(data, len);
	case IDENTITY_DN:
		return dn_is_valid(data, len);
	case IDENTITY_KEY_ID:
		return len > 0;
	}
	return false;
}

static bool is_valid(const struct identity *i)
{
	return identity_is_valid(i->type, i->data, i->len);
}

/* --- comparison */

static bool type_is_name(uint8_t type)
{
	return type == IDENTITY_FQDN || type == IDENTITY_EMAIL;
}

/* ASCII letters without case, whatever the locale. */
static bool names_equal(const uint8_t *a, const uint8_t *b, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		uint8_t x = a[i], y = b[i];
		x = x >= 'A' && x <= 'Z' ? (uint8_t)(x | 0x20) : x;
		y = y >= 'A' && y <= 'Z' ? (uint8_t)(y | 0x20) : y;
		if (x != y)
			return false;
	}
	return true;
}

bool identity_equal(const struct identity *a, const struct identity *b)
{
	if (a->type != b->type)
		return false;
	if (a->type == IDENTITY_DN)
		return dn_equal(a->data, a->len, b->data, b->len);
	if (a->len != b->len)
		return false;
	if (type_is_name(a->type))
		return names_equal(a->data, b->data, a->len);
	return !memcmp(a->data, b->data, a->len);
}

/* "*.example.org" or "*@example.org". */
static bool is_pattern(const struct identity *i)
{
	char second = i->type == IDENTITY_FQDN ? '.' : '@';
	return type_is_name(i->type) && i->len > 2 && i->data[0] == '*' && i->data[1] == second;
}

bool identity_matches(const struct identity *policy, const struct identity *i)
{
	if (!is_valid(i))
		return false;
	if (policy->type == IDENTITY_NONE)
		return true;
	if (policy->type != i->type)
		return false;
	if (i->type == IDENTITY_DN)
		return dn_matches(policy->data, policy->len, i->data, i->len);
	if (type_is_name(i->type) && memchr(i->data, '*', i->len))
		return false;
	if (!is_pattern(policy))
		return identity_equal(policy, i);
	size_t end_len = policy->len - 1u;
	return i->len > end_len &&
	       names_equal(policy->data + 1, i->data + (i->len - end_len), end_len);
}

/* --- text */

static struct identity *parse_key_id(const char *hex, struct err *err)
{
	uint8_t octets[IDENTITY_MAX];
	size_t len = strlen(hex);
	char pair[3] = {0};

	if (len == 0 || len % 2 || len / 2 > sizeof(octets) ||
	    strspn(hex, "0123456789abcdefABCDEF") != len) {
		err_set(err, "@#%.100s: not an even number of hexadecimal digits", hex);
		return NULL;
	}
	for (size_t i = 0; i < len / 2; i++) {
		memcpy(pair, hex + 2 * i, 2);
		octets[i] = (uint8_t)strtoul(pair, NULL, 16);
	}
	return identity_new(IDENTITY_KEY_ID, octets, len / 2);
}

static struct identity *parse_dn(const char *text, struct err *err)
{
	uint8_t der[IDENTITY_MAX];
	struct err why = {{0}};
	size_t len = dn_parse(text, der, sizeof(der), &why);

	if (!len) {
		err_set(err, "distinguished name \"%.100s\": %s", text, why.text);
		return NULL;
	}
	return identity_new(IDENTITY_DN, der, len);
}

static struct identity *parse_name(uint8_t type, const char *text, struct err *err)
{
	struct identity *i = identity_new(type, text, strlen(text));

	if (!i || !is_valid(i)) {
		err_set(err, "\"%.100s\": not an identity: it is %s", text,
			!*text ? "empty"
			: i    ? "not printable"
			       : "too long");
		goto fail;
	}
	if (strchr(text, '*') && (!is_pattern(i) || strchr(text + 1, '*'))) {
		err_set(err,
			"\"%.100s\": a \"*\" stands only at the start, as in *.example.org or "
			"*@example.org; %%any takes everybody",
			text);
		goto fail;
	}
	return i;
fail:
	free(i);
	return NULL;
}

struct identity *identity_parse(const char *text, struct err *err)
{
	struct addr a;

	if (!strcmp(text, "%any"))
		return identity_new(IDENTITY_NONE, NULL, 0);
	if (!strncmp(text, "@#", 2))
		return parse_key_id(text + 2, err);
	if (!strncmp(text, "@@", 2))
		return parse_name(IDENTITY_EMAIL, text + 2, err);
	if (text[0] == '@')
		return parse_name(IDENTITY_FQDN, text + 1, err);
	if (addr_parse(text, &a) == 0)
		return identity_new(a.family == 4 ? IDENTITY_IP4 : IDENTITY_IP6, a.b, addr_len(&a));
	if (strchr(text, '='))
		return parse_dn(text, err);
	return parse_name(strchr(text, '@') ? IDENTITY_EMAIL : IDENTITY_FQDN, text, err);
}

static void format_hex(const struct identity *i, char *buf, size_t room)
{
	size_t at = (size_t)snprintf(buf, room, "@#");

	for (size_t n = 0; n < i->len && at < room; n++)
		at += (size_t)snprintf(buf + at, room - at, "%02x", i->data[n]);
}

/* What makes a name read as its own type, where it would read as another's: a stranger called
 * "192.0.2.1" or "CN=root" is not to look like one. */
static const char *name_prefix(const struct identity *i, const char *text)
{
	struct addr a;

	if (i->type == IDENTITY_EMAIL)
		return *text == '@' || strchr(text, '=') || !strchr(text, '@') ? "@@" : "";
	return strpbrk(text, "@=") || *text == '%' || addr_parse(text, &a) == 0 ? "@" : "";
}

static void format_name(const struct identity *i, char *buf, size_t room)
{
	char text[IDENTITY_MAX + 1];

	for (size_t n = 0; n < i->len; n++)
		text[n] = i->data[n] >= ' ' && i->data[n] < 0x7f ? (char)i->data[n] : '?';
	text[i->len] = '\0';
	/* Behind a prefix these would be another one. */
	if (i->type == IDENTITY_FQDN && (*text == '@' || *text == '#'))
		*text = '?';
	snprintf(buf, room, "%s%s", name_prefix(i, text), text);
}

const char *identity_format(const struct identity *i, char *buf, size_t room)
{
	char text[ADDR_TEXT_MAX];
	struct addr a;

	if (room == 0)
		return buf;
	if (i->type != IDENTITY_NONE && !is_valid(i) && !type_is_name(i->type)) {
		snprintf(buf, room, "(malformed identity of type %u)", i->type);
		return buf;
	}
	switch (i->type) {
	case IDENTITY_NONE:
		snprintf(buf, room, "%%any");
		break;
	case IDENTITY_IP4:
	case IDENTITY_IP6:
		a = addr_from_bytes(i->type == IDENTITY_IP4 ? 4 : 6, i->data);
		snprintf(buf, room, "%s", addr_format(&a, text));
		break;
	case IDENTITY_DN:
		dn_format(i->data, i->len, buf, room);
		break;
	case IDENTITY_KEY_ID:
		format_hex(i, buf, room);
		break;
	case IDENTITY_FQDN:
	case IDENTITY_EMAIL:
		format_name(i, buf, room);
		break;
	}
	return buf;
}
