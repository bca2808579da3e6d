/* SPDX-License-Identifier: MIT */
/*
 * What proves us and whom we believe: certificates, keys and secrets of a configuration.
 *
 * Certificates are those of section ike and shared by all peers, so they count their users: a
 * reload keeps peers whose IKE SAs go on, and gives them the new certificates
 * (config_peer_keep).  Secrets belong to the peer that they are read for.
 *
 * No message shows anything of a secret: lengths and places only.  Control thread.
 */
#include <string.h>
#include "base/mem.h"
#include "crypto/cert.h"
#include "daemon/config_field.h"
#include "daemon/config_section.h"
#include "ike/eap.h"

#define SECRET_MAX 1024

/* --- certificates */

static int read_own(struct config_reading *r, cfg_t *ike, struct config_credentials *c)
{
	const struct config_item *cert = config_field(ike, "certificate"),
				 *key = config_field(ike, "private-key");
	struct err why = {""};

	if (!cert && !key)
		return 0;
	if (!cert || !key)
		return config_fail(r, cert ? cert->line : key->line,
				   "%s without %s; write the path of the other one, too",
				   cert ? "certificate" : "private-key",
				   cert ? "private-key" : "certificate");
	r->certificate = config_value_file(r, "certificate", cert, false);
	r->private_key = r->certificate ? config_value_file(r, "private-key", key, true) : NULL;
	if (!r->private_key)
		return -1;
	c->own = cert_own_new(r->certificate->data, r->certificate->len, r->private_key->data,
			      r->private_key->len, &why);
	if (!c->own)
		return config_fail(r, cert->line, "certificate and private-key: %s", why.text);
	return 0;
}

static int read_ca(struct config_reading *r, cfg_t *ike, struct config_credentials *c)
{
	const struct config_item *i;
	struct err why = {""};

	for (unsigned k = 0; (i = config_field_at(ike, "ca", k)); k++) {
		if (k == ARRAY_LEN(r->ca))
			return config_fail(r, i->line, "more than %zu in ca; a file may hold many",
					   ARRAY_LEN(r->ca));
		const struct config_file *f = config_value_file(r, "ca", i, false);
		if (!f)
			return -1;
		if (!c->trust)
			c->trust = cert_trust_new();
		if (cert_trust_add_ca(c->trust, f->data, f->len, &why) < 0)
			return config_fail(r, i->line, "ca: %s", why.text);
		r->ca[r->ca_count++] = f;
	}
	return 0;
}

static int read_crl(struct config_reading *r, cfg_t *ike, struct config_credentials *c)
{
	const struct config_item *i = config_field(ike, "crl"),
				 *strict = config_field(ike, "crl-required");
	struct err why = {""};
	bool required = false;

	if (config_field_bool(r, ike, "crl-required", &required) < 0)
		return -1;
	if ((i || required) && !c->trust)
		return config_fail(r, i ? i->line : strict->line,
				   "%s without ca; write the path of the CA's certificate",
				   i ? "crl" : "crl-required");
	if (required && !i)
		return config_fail(r, strict->line,
				   "crl-required without crl would refuse every certificate; write "
				   "crl = PATH");
	for (unsigned k = 0; (i = config_field_at(ike, "crl", k)); k++) {
		if (k == ARRAY_LEN(r->crl))
			return config_fail(r, i->line, "more than %zu in crl; a file may hold many",
					   ARRAY_LEN(r->crl));
		const struct config_file *f = config_value_file(r, "crl", i, false);
		if (!f)
			return -1;
		if (cert_trust_add_crl(c->trust, f->data, f->len, &why) < 0)
			return config_fail(r, i->line, "crl: %s", why.text);
		r->crl[r->crl_count++] = f;
	}
	r->crl_required = required;
	if (required)
		cert_trust_require_crl(c->trust, true);
	return 0;
}

int config_credentials_read(struct config_reading *r, cfg_t *ike, struct config_credentials *c)
{
	if (read_own(r, ike, c) < 0 || read_ca(r, ike, c) < 0)
		return -1;
	return read_crl(r, ike, c);
}

/* The CAs' files one after the other, which PEM allows. */
static int join_ca(struct config_reading *r, int line, char **out, size_t *len)
{
	for (unsigned k = 0; k < r->ca_count; k++) {
		if (r->ca_count > 1 && !strstr(r->ca[k]->data, "-----BEGIN"))
			return config_fail(r, line,
					   "auth = eap-tls with several CAs takes them as PEM; "
					   "convert them: openssl x509 -inform der");
		*len += r->ca[k]->len + 1;
	}
	*out = mem_zalloc(*len + 1);
	*len = 0;
	for (unsigned k = 0; k < r->ca_count; k++) {
		if (k)
			(*out)[(*len)++] = '\n';
		memcpy(*out + *len, r->ca[k]->data, r->ca[k]->len);
		*len += r->ca[k]->len;
	}
	return 0;
}

int config_credentials_eap_tls(struct config_reading *r, int line, struct config_credentials *c)
{
	char *ca CLEANUP_FREE = NULL;
	struct err why = {""};
	size_t len = 0;

	if (c->eap_tls)
		return 0;
	if (join_ca(r, line, &ca, &len) < 0)
		return -1;
	c->eap_tls =
	    eap_tls_new(r->certificate->data, r->certificate->len, r->private_key->data,
			r->private_key->len, ca, len, r->cfg->role == ROLE_HOME_SERVER, &why);
	if (!c->eap_tls)
		return config_fail(r, line, "auth = eap-tls: %s", why.text);
	for (unsigned k = 0; k < r->crl_count; k++) {
		if (eap_tls_add_crl(c->eap_tls, r->crl[k]->data, r->crl[k]->len, &why) < 0)
			return config_fail(r, line, "auth = eap-tls: crl: %s", why.text);
	}
	eap_tls_require_crl(c->eap_tls, r->crl_required);
	return 0;
}

struct config_credentials *config_credentials_ref(struct config_credentials *c)
{
	if (c)
		c->refs++;
	return c;
}

void config_credentials_unref(struct config_credentials *c)
{
	while (c && --c->refs == 0) {
		struct config_credentials *before = c->before;
		cert_own_free(c->own);
		cert_trust_free(c->trust);
		eap_tls_free(c->eap_tls);
		free(c);
		c = before;
	}
}

/* --- secrets */

cfg_t *config_source_of(const struct config_source *s, const char *a, const char *b)
{
	cfg_t *levels[] = {s->own, s->ike};

	for (size_t k = 0; k < ARRAY_LEN(levels); k++) {
		if (levels[k] && (config_field(levels[k], a) || (b && config_field(levels[k], b))))
			return levels[k];
	}
	return NULL;
}

static int secret_take(struct config_reading *r, const char *name, int line, const char *text,
		       size_t len, bool is_text, uint8_t **out, size_t *out_len)
{
	if (!len)
		return config_fail(r, line, "%s is empty; write one", name);
	if (len > SECRET_MAX)
		return config_fail(r, line, "%s is too long; write at most %d characters", name,
				   SECRET_MAX);
	if (memchr(text, '\0', len) || memchr(text, '\n', len))
		return config_fail(r, line,
				   "%s: more than one line, or a zero byte; it is one line "
				   "of text%s",
				   name, is_text ? "" : ", or 0x and hexadecimal digits");
	if (!is_text && len > 2 && text[0] == '0' && text[1] == 's')
		return config_fail(r, line,
				   "%s: base64 (0s...) is not read here; write 0x and hexadecimal "
				   "digits",
				   name);
	bool hex = !is_text && len >= 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	uint8_t *bytes = mem_zalloc(len + 1);
	*out_len = len;
	if (!hex) {
		memcpy(bytes, text, len);
	} else if (config_value_hex(r, name, line, text, len, bytes, len, out_len) < 0) {
		mem_wipe(bytes, len);
		free(bytes);
		return -1;
	}
	*out = bytes;
	return 0;
}

int config_read_secret(struct config_reading *r, const struct config_source *s, const char *name,
		       bool is_text, uint8_t **out, size_t *len)
{
	char file_name[40];
	snprintf(file_name, sizeof(file_name), "%s-file", name);
	cfg_t *sec = config_source_of(s, name, file_name);
	const struct config_item *i = sec ? config_field(sec, name) : NULL,
				 *f = sec ? config_field(sec, file_name) : NULL;

	*out = NULL;
	*len = 0;
	if (i && f)
		return config_fail(r, f->line, "both %s and %s; remove one", name, file_name);
	if (i)
		return secret_take(r, name, i->line, i->text, i->len, is_text, out, len);
	if (!f)
		return 0;
	const struct config_file *file = config_value_file(r, file_name, f, true);
	if (!file)
		return -1;
	size_t n = file->len;
	while (n && (file->data[n - 1] == '\n' || file->data[n - 1] == '\r'))
		n--;
	return secret_take(r, file_name, f->line, file->data, n, is_text, out, len);
}
