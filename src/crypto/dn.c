/* SPDX-License-Identifier: MIT */
/*
 * Distinguished names.
 *
 *   Name ::= SEQUENCE OF                       dn_walk_next
 *     RelativeDistinguishedName ::= SET OF
 *       SEQUENCE { type OID, value }           dn_attr_next
 *
 * They are compared where they stand, without a copy: a gateway asks for every configured peer
 * whether a stranger's name fits it.  A value is read as a stream of characters whatever its
 * string type, folded as RFC 5280 7.1 wants for the comparison (ASCII letters without case, as
 * OpenSSL does; white space at the ends dropped, and inside made one space).  A relative name with
 * several attributes is a set: its order does not count.  Since no type may stand in it twice, n
 * attributes that each find their like among n others are the same set.
 *
 * No state, no allocation.
 */
#include "crypto/dn.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "base/mem.h"
#include "crypto/der.h"

#define OID_MAX 32 /* octets */

struct dn_attr {
	const uint8_t *oid;
	size_t oid_len;
	uint8_t tag;
	struct reader value;
};

/* What an attribute is called, and the string type its texts get. */
static const struct dn_name {
	const char *name;
	const char *oid;
	uint8_t tag;
} dn_names[] = {
    /* The first of an OID is the one that is shown. */
    {"C", "2.5.4.6", DER_PRINTABLE},
    {"ST", "2.5.4.8", DER_UTF8},
    {"L", "2.5.4.7", DER_UTF8},
    {"O", "2.5.4.10", DER_UTF8},
    {"OU", "2.5.4.11", DER_UTF8},
    {"CN", "2.5.4.3", DER_UTF8},
    {"DC", "0.9.2342.19200300.100.1.25", DER_IA5},
    {"UID", "0.9.2342.19200300.100.1.1", DER_UTF8},
    {"E", "1.2.840.113549.1.9.1", DER_IA5},
    {"emailAddress", "1.2.840.113549.1.9.1", DER_IA5},
    {"G", "2.5.4.42", DER_UTF8},
    {"GN", "2.5.4.42", DER_UTF8},
    {"givenName", "2.5.4.42", DER_UTF8},
    {"surname", "2.5.4.4", DER_UTF8},
    {"serialNumber", "2.5.4.5", DER_PRINTABLE},
    {"street", "2.5.4.9", DER_UTF8},
    {"title", "2.5.4.12", DER_UTF8},
    {"description", "2.5.4.13", DER_UTF8},
    {"postalCode", "2.5.4.17", DER_UTF8},
    {"name", "2.5.4.41", DER_UTF8},
    {"initials", "2.5.4.43", DER_UTF8},
    {"dnQualifier", "2.5.4.46", DER_PRINTABLE},
    {"pseudonym", "2.5.4.65", DER_UTF8},
    {"organizationIdentifier", "2.5.4.97", DER_UTF8},
    {"unstructuredName", "1.2.840.113549.1.9.2", DER_UTF8},
};

/* --- object identifiers */

static void oid_write_arc(struct writer *w, uint64_t arc)
{
	unsigned shift = 0;

	while (shift < 63 && arc >> (shift + 7))
		shift += 7;
	for (;; shift -= 7) {
		writer_u8(w, (uint8_t)((arc >> shift & 0x7f) | (shift ? 0x80 : 0)));
		if (!shift)
			return;
	}
}

/* From "1.2.840"; octets written, 0: it is none. */
static size_t oid_parse(const char *text, uint8_t out[OID_MAX])
{
	struct writer w = writer_of(out, OID_MAX);
	uint64_t arc, first = 0;
	unsigned n;

	for (n = 0;; n++) {
		const char *start = text;
		for (arc = 0; *text >= '0' && *text <= '9' && arc < UINT32_MAX; text++)
			arc = arc * 10 + (uint64_t)(*text - '0');
		if (text == start || (*text && *text != '.'))
			return 0;
		if (n == 0)
			first = arc;
		if (n == 0 ? arc > 2 : n == 1 && first < 2 && arc > 39)
			return 0;
		if (n > 0)
			oid_write_arc(&w, n == 1 ? first * 40 + arc : arc);
		if (!*text++)
			break;
	}
	return n > 0 && !w.failed ? writer_len(&w) : 0;
}

static bool oid_is_valid(const uint8_t *oid, size_t len)
{
	bool first = true;

	for (size_t i = 0; i < len; i++) {
		if (first && oid[i] == 0x80)
			return false;
		first = !(oid[i] & 0x80);
	}
	return len > 0 && len <= OID_MAX && first;
}

static void oid_format(const uint8_t *oid, size_t len, char *buf, size_t room)
{
	uint64_t arc = 0;
	size_t at = 0;

	for (size_t i = 0; i < len && at < room; i++) {
		arc = arc << 7 | (oid[i] & 0x7f);
		if (oid[i] & 0x80)
			continue;
		if (at == 0) {
			unsigned top = arc < 40 ? 0 : arc < 80 ? 1 : 2;
			at += (size_t)snprintf(buf, room, "%u.", top);
			arc -= top * 40u;
		} else {
			at += (size_t)snprintf(buf + at, room - at, ".");
		}
		if (at < room)
			at +=
			    (size_t)snprintf(buf + at, room - at, "%llu", (unsigned long long)arc);
		arc = 0;
	}
}

static const char *oid_name(const uint8_t *oid, size_t len)
{
	uint8_t known[OID_MAX];

	for (size_t i = 0; i < ARRAY_LEN(dn_names); i++)
		if (oid_parse(dn_names[i].oid, known) == len && !memcmp(known, oid, len))
			return dn_names[i].name;
	return NULL;
}

/* --- characters */

#define DN_END (-1)
#define DN_BAD (-2) /* does not decode, or is NUL */

struct dn_text {
	struct reader r;
	uint8_t tag;
	bool begun;   /* past white space at the start */
	int32_t held; /* a character read to see that white space ended; 0 none */
};

static bool dn_tag_is_text(uint8_t tag)
{
	return tag == DER_UTF8 || tag == DER_NUMERIC || tag == DER_PRINTABLE || tag == DER_T61 ||
	       tag == DER_IA5 || tag == DER_VISIBLE || tag == DER_UNIVERSAL || tag == DER_BMP;
}

static int32_t dn_next_utf8(struct reader *r)
{
	static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
	uint8_t b = reader_u8(r);
	unsigned more = b < 0x80   ? 0
			: b < 0xc0 ? 4
			: b < 0xe0 ? 1
			: b < 0xf0 ? 2
			: b < 0xf8 ? 3
				   : 4;

	if (more == 4)
		return DN_BAD;
	uint32_t c = more ? b & (0x3fu >> more) : b;
	for (unsigned i = 0; i < more; i++) {
		b = reader_u8(r);
		if ((b & 0xc0) != 0x80)
			return DN_BAD;
		c = c << 6 | (b & 0x3f);
	}
	return c < least[more] ? DN_BAD : (int32_t)c;
}

static int32_t dn_next_char(struct dn_text *t)
{
	int32_t c;

	if (!reader_left(&t->r))
		return DN_END;
	if (t->tag == DER_UTF8)
		c = dn_next_utf8(&t->r);
	else
		c = (int32_t)reader_uint(&t->r, t->tag == DER_BMP	  ? 2
						: t->tag == DER_UNIVERSAL ? 4
									  : 1);
	if (t->r.failed || c <= 0 || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return DN_BAD;
	return c;
}

static bool dn_is_space(int32_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static int32_t dn_lower(int32_t c)
{
	return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
}

static int32_t dn_next_folded(struct dn_text *t)
{
	int32_t c = t->held;
	if (c) {
		t->held = 0;
		return c;
	}
	c = dn_next_char(t);
	bool space = dn_is_space(c);
	while (dn_is_space(c))
		c = dn_next_char(t);
	bool keep = space && t->begun && c >= 0;
	t->begun = true;
	if (!keep)
		return dn_lower(c);
	t->held = dn_lower(c);
	return ' ';
}

static bool dn_text_is_valid(const struct dn_attr *a)
{
	struct dn_text t = {.r = a->value, .tag = a->tag};
	int32_t c;

	do {
		c = dn_next_char(&t);
	} while (c >= 0);
	return c == DN_END;
}

static bool dn_value_equal(const struct dn_attr *a, const struct dn_attr *b)
{
	if (!dn_tag_is_text(a->tag) || !dn_tag_is_text(b->tag)) {
		size_t len = reader_left(&a->value);
		return a->tag == b->tag && reader_left(&b->value) == len &&
		       (!len || !memcmp(a->value.p, b->value.p, len));
	}
	struct dn_text x = {.r = a->value, .tag = a->tag}, y = {.r = b->value, .tag = b->tag};
	int32_t c;
	do {
		c = dn_next_folded(&x);
		if (c == DN_BAD || c != dn_next_folded(&y))
			return false;
	} while (c != DN_END);
	return true;
}

/* --- the walk */

/* All relative names; failed when the whole is none. */
static struct reader dn_open(const uint8_t *der, size_t len)
{
	struct reader r = reader_of(der, len);
	struct reader inner = der_take(&r, DER_SEQUENCE);
	if (!reader_done(&r))
		inner.failed = true;
	return inner;
}

static struct dn_attr dn_attr_next(struct reader *rdn)
{
	struct dn_attr a = {0};
	struct reader seq = der_take(rdn, DER_SEQUENCE);
	struct reader oid = der_take(&seq, DER_OID);
	a.value = der_next(&seq, &a.tag);
	if (!reader_done(&seq) || oid.failed || a.value.failed)
		rdn->failed = true;
	a.oid = oid.p;
	a.oid_len = reader_left(&oid);
	return a;
}

/* The attribute of that type in a relative name, up to `end`. */
static bool dn_attr_find(struct reader rdn, const uint8_t *end, const struct dn_attr *like,
			 struct dn_attr *found)
{
	while (rdn.p < end && !rdn.failed) {
		*found = dn_attr_next(&rdn);
		if (!rdn.failed && found->oid_len == like->oid_len &&
		    !memcmp(found->oid, like->oid, like->oid_len))
			return true;
	}
	return false;
}

static bool dn_rdn_is_valid(struct reader rdn)
{
	struct reader all = rdn;
	struct dn_attr other;

	if (!reader_left(&rdn))
		return false;
	while (reader_left(&rdn) && !rdn.failed) {
		const uint8_t *at = rdn.p;
		struct dn_attr a = dn_attr_next(&rdn);
		if (rdn.failed || !oid_is_valid(a.oid, a.oid_len))
			return false;
		if (dn_tag_is_text(a.tag) && !dn_text_is_valid(&a))
			return false;
		if (dn_attr_find(all, at, &a, &other))
			return false;
	}
	return !rdn.failed;
}

bool dn_is_valid(const uint8_t *der, size_t len)
{
	struct reader names = dn_open(der, len);

	if (names.failed || !reader_left(&names))
		return false;
	while (reader_left(&names) && !names.failed) {
		struct reader rdn = der_take(&names, DER_SET);
		if (rdn.failed || !dn_rdn_is_valid(rdn))
			return false;
	}
	return !names.failed;
}

static bool dn_value_is_star(const struct dn_attr *a)
{
	return dn_tag_is_text(a->tag) && reader_left(&a->value) == 1 && *a->value.p == '*';
}

static unsigned dn_rdn_count(struct reader rdn)
{
	unsigned n = 0;

	for (; reader_left(&rdn) && !rdn.failed; n++)
		(void)dn_attr_next(&rdn);
	return n;
}

/* Both valid. */
static bool dn_rdn_matches(struct reader policy, struct reader rdn, bool stars)
{
	if (dn_rdn_count(policy) != dn_rdn_count(rdn))
		return false;
	while (reader_left(&policy)) {
		struct dn_attr found, a = dn_attr_next(&policy);
		if (!dn_attr_find(rdn, rdn.end, &a, &found))
			return false;
		if (!(stars && dn_value_is_star(&a)) && !dn_value_equal(&a, &found))
			return false;
	}
	return true;
}

static bool dn_compare(const uint8_t *policy, size_t policy_len, const uint8_t *name,
		       size_t name_len, bool stars)
{
	if (!dn_is_valid(policy, policy_len) || !dn_is_valid(name, name_len))
		return false;
	struct reader p = dn_open(policy, policy_len), n = dn_open(name, name_len);
	while (reader_left(&p) && reader_left(&n)) {
		struct reader a = der_take(&p, DER_SET), b = der_take(&n, DER_SET);
		if (!dn_rdn_matches(a, b, stars))
			return false;
	}
	return !reader_left(&p) && !reader_left(&n);
}

bool dn_equal(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
	return dn_compare(a, a_len, b, b_len, false);
}

bool dn_matches(const uint8_t *policy, size_t policy_len, const uint8_t *name, size_t name_len)
{
	return dn_compare(policy, policy_len, name, name_len, true);
}

/* --- text to DER */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The value up to an unescaped separator, without spaces at its ends; passes it. */
static void dn_parse_value(const char **text, char separator, struct writer *w)
{
	const char *p = *text;
	uint8_t *keep = w->p; /* behind the last character that is no unescaped space */

	while (*p == ' ')
		p++;
	for (; *p && *p != separator; p++) {
		if (*p != '\\' || !p[1]) {
			writer_u8(w, (uint8_t)*p);
			if (*p != ' ')
				keep = w->p;
			continue;
		}
		p++;
		int high = hex_digit(p[0]), low = high < 0 ? -1 : hex_digit(p[1]);
		int octet = low < 0 ? *p : high * 16 + low;
		writer_u8(w, (uint8_t)octet);
		if (low >= 0)
			p++;
		keep = w->p;
	}
	if (!w->failed)
		w->p = keep;
	*text = p;
}

/* "CN" or "2.5.4.3"; gives OID and string type. */
static size_t dn_parse_type(const char *name, uint8_t oid[OID_MAX], uint8_t *tag)
{
	for (size_t i = 0; i < ARRAY_LEN(dn_names); i++) {
		if (strcasecmp(dn_names[i].name, name) != 0)
			continue;
		*tag = dn_names[i].tag;
		return oid_parse(dn_names[i].oid, oid);
	}
	*tag = DER_UTF8;
	return oid_parse(name, oid);
}

static void dn_write_attr(struct writer *w, const uint8_t *oid, size_t oid_len, uint8_t tag,
			  const uint8_t *value, size_t len)
{
	size_t seq_len = der_header_len(oid_len) + oid_len + der_header_len(len) + len;

	der_write_header(w, DER_SET, der_header_len(seq_len) + seq_len);
	der_write_header(w, DER_SEQUENCE, seq_len);
	der_write_header(w, DER_OID, oid_len);
	writer_bytes(w, oid, oid_len);
	der_write_header(w, tag, len);
	writer_bytes(w, value, len);
}

/* One attribute; `text` is passed. */
static int dn_parse_attr(const char **text, char separator, struct writer *w, struct err *err)
{
	uint8_t oid[OID_MAX], value[1024], tag;
	char name[64];
	const char *p = *text + strspn(*text, " ");
	const char *equals = strchr(p, '=');
	size_t len = equals ? (size_t)(equals - p) : 0;

	while (len > 0 && p[len - 1] == ' ')
		len--;
	if (len == 0 || len >= sizeof(name))
		return err_set(err, "\"%.100s\": not a list of NAME=VALUE", p);
	memcpy(name, p, len);
	name[len] = '\0';
	size_t oid_len = dn_parse_type(name, oid, &tag);
	if (!oid_len && !strcasecmp(name, "SN"))
		return err_set(err, "SN: write surname or serialNumber");
	if (!oid_len)
		return err_set(err, "%s: not an attribute known here: write its object identifier",
			       name);
	struct writer v = writer_of(value, sizeof(value));
	*text = equals + 1;
	dn_parse_value(text, separator, &v);
	if (v.failed || writer_len(&v) == 0)
		return err_set(err, "%s: the value is %s", name, v.failed ? "too long" : "empty");
	dn_write_attr(w, oid, oid_len, tag, value, writer_len(&v));
	return 0;
}

size_t dn_parse(const char *text, uint8_t *out, size_t room, struct err *err)
{
	char separator = *text == '/' ? '/' : ',';
	uint8_t names[1024];
	struct writer w = writer_of(names, sizeof(names)), whole = writer_of(out, room);

	if (separator == '/')
		text++;
	for (;;) {
		if (dn_parse_attr(&text, separator, &w, err) < 0)
			return 0;
		if (!*text)
			break;
		text++;
	}
	if (!w.failed) {
		der_write_header(&whole, DER_SEQUENCE, writer_len(&w));
		writer_bytes(&whole, names, writer_len(&w));
	}
	if (w.failed || whole.failed) {
		err_set(err, "the name is too long");
		return 0;
	}
	if (!dn_is_valid(out, writer_len(&whole))) {
		err_set(err, "the name is not UTF-8 text");
		return 0;
	}
	return writer_len(&whole);
}

/* --- DER to text */

struct dn_out {
	char *p, *end; /* room for the NUL is behind `end` */
};

static void dn_put(struct dn_out *o, const char *s)
{
	while (*s && o->p < o->end)
		*o->p++ = *s++;
}

static void dn_put_value(struct dn_out *o, const struct dn_attr *a)
{
	char one[4] = {0};
	int32_t c;

	if (!dn_tag_is_text(a->tag)) {
		dn_put(o, "#");
		for (struct reader r = a->value; reader_left(&r);) {
			snprintf(one, sizeof(one), "%02x", reader_u8(&r));
			dn_put(o, one);
		}
		return;
	}
	for (struct dn_text t = {.r = a->value, .tag = a->tag}; (c = dn_next_char(&t)) != DN_END;) {
		bool plain = c >= ' ' && c < 0x7f;
		if (c == ',' || c == '+' || c == '\\' || c == '=')
			dn_put(o, "\\");
		one[0] = plain ? (char)c : '?';
		one[1] = '\0';
		dn_put(o, one);
	}
}

static void dn_put_attr(struct dn_out *o, const struct dn_attr *a)
{
	char dotted[128];
	const char *name = oid_name(a->oid, a->oid_len);

	if (!name) {
		oid_format(a->oid, a->oid_len, dotted, sizeof(dotted));
		name = dotted;
	}
	dn_put(o, name);
	dn_put(o, "=");
	dn_put_value(o, a);
}

const char *dn_format(const uint8_t *der, size_t len, char *buf, size_t room)
{
	struct dn_out o = {buf, buf + room - 1};
	struct reader names = dn_open(der, len);

	if (!dn_is_valid(der, len)) {
		snprintf(buf, room, "(malformed name)");
		return buf;
	}
	for (bool first = true; reader_left(&names); first = false) {
		struct reader rdn = der_take(&names, DER_SET);
		for (bool alone = true; reader_left(&rdn); alone = false) {
			struct dn_attr a = dn_attr_next(&rdn);
			dn_put(&o, !alone ? " + " : first ? "" : ", ");
			dn_put_attr(&o, &a);
		}
	}
	*o.p = '\0';
	return buf;
}
