/* SPDX-License-Identifier: MIT */
/*
 * Single values of a configuration: numbers, addresses, algorithms, keys.
 *
 * Each function reads one item as it was written and says, with its file and line, what is
 * wrong and what to write instead.  A value is shown in a message only where it cannot be a key
 * that went into the wrong option (config_value_show); of keys, messages give lengths and
 * positions.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include "base/cursor.h"
#include "base/mem.h"
#include "daemon/config_parse.h"

int config_fail(const struct config_reading *r, int line, const char *fmt, ...)
{
	char text[sizeof(r->err->text)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return err_set(r->err, "%s:%d: %s", r->path, line, text);
}

static bool value_is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

const char *config_value_show(const struct config_item *i, char *buf, size_t room)
{
	size_t run = 0;

	buf[0] = '\0';
	if (i->len > 48)
		return buf;
	for (size_t k = 0; k < i->len; k++) {
		run = value_is_hex(i->text[k]) ? run + 1 : 0;
		if (run >= 6 || i->text[k] < ' ' || i->text[k] > '~')
			return buf;
	}
	snprintf(buf, room, " \"%s\"", i->text);
	return buf;
}

int config_value_number(const struct config_reading *r, const char *name,
			const struct config_item *i, uint64_t min, uint64_t max, uint64_t *out)
{
	char *end;

	errno = 0;
	unsigned long long v = strtoull(i->text, &end, 0);
	unsigned shift = 0;
	if (end != i->text && end[0] && !end[1]) {
		static const char units[] = "kMGT";
		const char *u = strchr(units, end[0]);
		shift = u ? (unsigned)(u - units + 1) * 10 : 0;
		end += u ? 1 : 0;
	}
	bool digits = i->text[0] >= '0' && i->text[0] <= '9';
	if (!digits || *end)
		return config_fail(r, i->line,
				   "%s is not a number; write one from %" PRIu64 " to %" PRIu64,
				   name, min, max);
	if (errno || v > UINT64_MAX >> shift || v << shift < min || v << shift > max)
		return config_fail(
		    r, i->line, "%s is out of range; write a number from %" PRIu64 " to %" PRIu64,
		    name, min, max);
	*out = v << shift;
	return 0;
}

int config_value_bool(const struct config_reading *r, const char *name, const struct config_item *i,
		      bool *out)
{
	static const char *const words[] = {"no", "yes", "off", "on", "false", "true", NULL};

	for (unsigned k = 0; words[k]; k++) {
		if (!strcmp(i->text, words[k])) {
			*out = k & 1;
			return 0;
		}
	}
	return config_fail(r, i->line, "%s is neither yes nor no; write one of them", name);
}

int config_value_word(const struct config_reading *r, const char *name, const struct config_item *i,
		      const char *const *words, unsigned *out)
{
	char list[160] = "", shown[64];

	for (unsigned k = 0; words[k]; k++) {
		if (!strcmp(i->text, words[k])) {
			*out = k;
			return 0;
		}
		size_t n = strlen(list);
		snprintf(list + n, sizeof(list) - n, "%s%s",
			 !k		? ""
			 : words[k + 1] ? ", "
					: " or ",
			 words[k]);
	}
	return config_fail(r, i->line, "%s =%s is unknown; write %s", name,
			   config_value_show(i, shown, sizeof(shown)), list);
}

int config_value_text(const struct config_reading *r, const char *name, const struct config_item *i,
		      char *out, size_t room)
{
	if (!i->len)
		return config_fail(r, i->line, "%s is empty; leave it out or write a value", name);
	if (i->len >= room)
		return config_fail(r, i->line, "%s is too long; write at most %zu characters", name,
				   room - 1);
	for (size_t k = 0; k < i->len; k++) {
		if (i->text[k] <= ' ' || i->text[k] > '~')
			return config_fail(r, i->line,
					   "%s has a space or a character that cannot be printed; "
					   "write letters, digits and - _ . /",
					   name);
	}
	memcpy(out, i->text, i->len + 1);
	return 0;
}

int config_value_interface(const struct config_reading *r, const char *name,
			   const struct config_item *i, char out[IF_NAMESIZE])
{
	if (i->len >= IF_NAMESIZE)
		return config_fail(r, i->line,
				   "%s: the name of an interface has at most %d characters, this "
				   "one %zu; `ip link` lists them",
				   name, IF_NAMESIZE - 1, i->len);
	if (strchr(i->text, '/') || !strcmp(i->text, ".") || !strcmp(i->text, ".."))
		return config_fail(r, i->line,
				   "%s is no name of an interface; `ip link` lists them", name);
	return config_value_text(r, name, i, out, IF_NAMESIZE);
}

/* A node that moves listens on whatever it has: 0.0.0.0, ::. */
static bool may_be_any(const struct config_reading *r, const char *name)
{
	return r->cfg->announce_moves && (!strcmp(name, "listen") || !strcmp(name, "server"));
}

int config_value_addr(const struct config_reading *r, const char *name, const struct config_item *i,
		      struct addr *out)
{
	char shown[64];

	if (addr_parse(i->text, out))
		return config_fail(r, i->line,
				   "%s:%s is no address; write one like \"10.1.0.10\" or "
				   "\"2001:db8::10\" (names are not looked up)",
				   name, config_value_show(i, shown, sizeof(shown)));
	if ((addr_is_any(out) && !may_be_any(r, name)) || addr_is_multicast(out))
		return config_fail(r, i->line,
				   "%s: %s is not the address of one node; write one like "
				   "\"10.1.0.10\"",
				   name, i->text);
	return 0;
}

char *config_value_split(char *text, char **port)
{
	char *colon = strrchr(text, ':');

	*port = NULL;
	if (text[0] == '[') {
		char *end = strchr(text, ']');
		if (!end)
			return text;
		if (end[1] == ':')
			*port = end + 2;
		else if (end[1])
			return text;
		*end = '\0';
		return text + 1;
	}
	if (colon && colon == strchr(text, ':')) {
		*colon = '\0';
		*port = colon + 1;
	}
	return text;
}

int config_value_endpoint(const struct config_reading *r, const char *name,
			  const struct config_item *i, struct endpoint *out)
{
	char text[ENDPOINT_TEXT_MAX + 8], *port, *end = NULL, shown[64];
	unsigned long p = 0;

	if (i->len < sizeof(text)) {
		memcpy(text, i->text, i->len + 1);
		char *host = config_value_split(text, &port);
		if (port && *port >= '0' && *port <= '9')
			p = strtoul(port, &end, 10);
		bool port_ok = !port || (end && !*end && p >= 1 && p <= 65535);
		if (port_ok && addr_parse(host, &out->addr) == 0 &&
		    (!addr_is_any(&out->addr) || may_be_any(r, name)) &&
		    !addr_is_multicast(&out->addr)) {
			out->port = (uint16_t)p;
			return 0;
		}
	}
	return config_fail(r, i->line,
			   "%s:%s is no address of a node; write one like \"203.0.113.1\", "
			   "\"203.0.113.1:4500\" or \"[2001:db8::1]:4500\"",
			   name, config_value_show(i, shown, sizeof(shown)));
}

int config_value_prefix(const struct config_reading *r, const char *name,
			const struct config_item *i, struct prefix *out)
{
	char head[ADDR_TEXT_MAX], text[PREFIX_TEXT_MAX], shown[64];
	struct addr a;

	if (prefix_parse(i->text, out) == 0)
		return 0;

	/* Right but for bits past the length? */
	const char *slash = strchr(i->text, '/');
	size_t n = slash ? (size_t)(slash - i->text) : 0;
	if (slash && n < sizeof(head)) {
		memcpy(head, i->text, n);
		head[n] = '\0';
		char *end;
		unsigned long len = strtoul(slash + 1, &end, 10);
		if (addr_parse(head, &a) == 0 && slash[1] >= '0' && slash[1] <= '9' && !*end &&
		    len <= addr_len(&a) * 8) {
			struct prefix p = prefix_of(&a, (uint8_t)len);
			return config_fail(r, i->line,
					   "%s: %s has bits set beyond its length; write \"%s\" "
					   "(or \"%s\" for the one address)",
					   name, i->text, prefix_format(&p, text), head);
		}
	}
	return config_fail(
	    r, i->line, "%s:%s is no prefix; write one like \"10.1.0.0/24\" or \"2001:db8::/64\"",
	    name, config_value_show(i, shown, sizeof(shown)));
}

int config_value_mac(const struct config_reading *r, const char *name, const struct config_item *i,
		     uint8_t out[6])
{
	unsigned b[6];
	int end = 0;

	if (i->len == 17 &&
	    sscanf(i->text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5],
		   &end) == 6 &&
	    end == 17) {
		unsigned any = 0;
		for (unsigned k = 0; k < 6; k++) {
			out[k] = (uint8_t)b[k];
			any |= b[k];
		}
		if (any && !(out[0] & 1))
			return 0;
	}
	return config_fail(r, i->line,
			   "%s is not the link address of a gateway; write one like "
			   "\"02:00:00:00:00:01\" (`ip neigh` shows them)",
			   name);
}

static void alg_list(bool integrity, char *buf, size_t room)
{
	const struct alg *a;

	buf[0] = '\0';
	for (size_t i = 0; (a = alg_at(i)); i++) {
		if (a->status != ALG_USABLE || (a->kind == ALG_INTEGRITY) != integrity)
			continue;
		size_t n = strlen(buf);
		snprintf(buf + n, room - n, "%s%s", n ? ", " : "", a->name);
	}
}

int config_value_alg(const struct config_reading *r, const char *name, const struct config_item *i,
		     bool integrity, const struct alg **out)
{
	const struct alg *a = alg_find(i->text);
	char list[200], shown[64];

	alg_list(integrity, list, sizeof(list));
	if (!a)
		return config_fail(r, i->line, "%s:%s is unknown; write one of %s", name,
				   config_value_show(i, shown, sizeof(shown)), list);
	if ((a->kind == ALG_INTEGRITY) != integrity)
		return config_fail(r, i->line, "%s: %s is %s; write one of %s", name, a->name,
				   integrity ? "a cipher" : "an integrity algorithm", list);
	switch (a->status) {
	case ALG_USABLE:
		*out = a;
		return 0;
	case ALG_KEYS_MUST_BE_FRESH:
	case ALG_FORBIDDEN:
		return config_fail(r, i->line, "%s: %s is refused: %s", name, a->name, a->why);
	}
	return -1;
}

static unsigned key_digit(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0');
	return (unsigned)((c | 0x20) - 'a' + 10);
}

int config_value_hex(const struct config_reading *r, const char *name, int line, const char *text,
		     size_t len, uint8_t *out, size_t room, size_t *out_len)
{
	size_t skip = len >= 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X') ? 2 : 0;
	struct writer w = writer_of(out, room);

	for (size_t k = skip; k < len; k++) {
		if (!value_is_hex(text[k]))
			return config_fail(r, line,
					   "%s: character %zu is not a hexadecimal digit; write 0x "
					   "and digits 0-9 a-f",
					   name, k + 1);
	}
	if ((len - skip) % 2)
		return config_fail(
		    r, line, "%s: an odd number of hexadecimal digits (%zu); each byte has two",
		    name, len - skip);
	for (size_t k = skip; k < len; k += 2)
		writer_u8(&w, (uint8_t)(key_digit(text[k]) << 4 | key_digit(text[k + 1])));
	if (w.failed)
		return config_fail(r, line, "%s: %zu bytes are too long; at most %zu", name,
				   (len - skip) / 2, room);
	*out_len = writer_len(&w);
	return 0;
}

const struct config_file *config_value_file(const struct config_reading *r, const char *name,
					    const struct config_item *i, bool secret)
{
	struct err why = {""};
	const struct config_file *f = config_files_get(r->files, i->text, secret, &why);

	if (!f)
		config_fail(r, i->line, "%s: %s", name, why.text);
	return f;
}

int config_value_key(const struct config_reading *r, const char *name, const struct config_item *i,
		     bool from_file, uint8_t *out, size_t room, size_t *out_len)
{
	if (!from_file)
		return config_value_hex(r, name, i->line, i->text, i->len, out, room, out_len);

	const struct config_file *f = config_value_file(r, name, i, true);
	if (!f)
		return -1;
	size_t len = f->len;
	while (len && strchr("\n\r ", f->data[len - 1]))
		len--;
	return config_value_hex(r, name, i->line, f->data, len, out, room, out_len);
}
