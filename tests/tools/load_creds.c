/* SPDX-License-Identifier: MIT */
/*
 * Certificates of a load: a CA, the responder's (written as files for whichever daemon it is), and
 * one for each terminal with a key of its own, ECDSA P-256 all of them.  So the responder finds no
 * certificate that it has verified before.
 */
#include <sys/stat.h>
#include "../unit/pki.h"
#include "base/mem.h"
#include "load.h"

#define FILE_MAX 16384

struct load_creds {
	struct pki ca;
	struct cert_own *server;
	struct cert_trust *trust;
};

static void write_file(const char *directory, const char *name, const struct pki_text *t)
{
	char path[512];
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	mode_t before = umask(077);
	FILE *f = fopen(path, "w");
	umask(before);
	if (!f || fwrite(t->data, 1, t->len, f) != t->len || fclose(f) != 0)
		load_die("%s: cannot be written", path);
}

static struct cert_own *own_of(const struct pki *p, const char *directory)
{
	struct err err = {""};
	struct pki_text cert = pki_cert_pem(p), key = pki_key_pem(p);
	struct cert_own *own = cert_own_new(cert.data, cert.len, key.data, key.len, &err);
	if (!own)
		load_die("%s", err.text);
	if (directory) {
		write_file(directory, "server.pem", &cert);
		write_file(directory, "server.key", &key);
	}
	pki_text_free(&cert);
	mem_wipe(key.data, key.len);
	pki_text_free(&key);
	return own;
}

static struct pki leaf_of(const struct pki *ca, const char *id)
{
	char subject[LOAD_NAME_MAX + 8], san[LOAD_NAME_MAX + 8];
	snprintf(subject, sizeof(subject), "CN=%s", id);
	snprintf(san, sizeof(san), "%s:%s", strchr(id, '@') ? "email" : "DNS", id);
	return pki_leaf(ca, PKI_P256, subject, san);
}

struct load_creds *load_creds_new(const char *directory, const char *server_id)
{
	struct load_creds *c = mem_zalloc(sizeof(*c));
	struct err err = {""};
	c->ca = pki_ca("CN=load");
	struct pki_text ca = pki_cert_pem(&c->ca);
	write_file(directory, "ca.pem", &ca);
	c->trust = cert_trust_new();
	if (cert_trust_add_ca(c->trust, ca.data, ca.len, &err))
		load_die("%s", err.text);
	pki_text_free(&ca);
	struct pki server = leaf_of(&c->ca, server_id);
	c->server = own_of(&server, directory);
	pki_free(&server);
	return c;
}

static struct pki_text read_file(const char *directory, const char *name)
{
	char path[512];
	struct pki_text t = {.data = mem_zalloc(FILE_MAX)};
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	FILE *f = fopen(path, "r");
	if (!f || !(t.len = fread(t.data, 1, FILE_MAX - 1, f)))
		load_die("%s: cannot be read", path);
	fclose(f);
	return t;
}

struct load_creds *load_creds_read(const char *directory)
{
	struct load_creds *c = mem_zalloc(sizeof(*c));
	struct err err = {""};
	struct pki_text ca = read_file(directory, "ca.pem");
	struct pki_text cert = read_file(directory, "server.pem");
	struct pki_text key = read_file(directory, "server.key");
	c->trust = cert_trust_new();
	c->server = cert_own_new(cert.data, cert.len, key.data, key.len, &err);
	if (!c->server || cert_trust_add_ca(c->trust, ca.data, ca.len, &err))
		load_die("%s", err.text);
	mem_wipe(key.data, key.len);
	pki_text_free(&ca);
	pki_text_free(&cert);
	pki_text_free(&key);
	return c;
}

void load_creds_free(struct load_creds *c)
{
	if (!c)
		return;
	cert_own_free(c->server);
	cert_trust_free(c->trust);
	pki_free(&c->ca);
	free(c);
}

const struct cert_trust *load_creds_trust(const struct load_creds *c)
{
	return c->trust;
}

const struct cert_own *load_creds_server(const struct load_creds *c)
{
	return c->server;
}

struct cert_own *load_creds_terminal(const struct load_creds *c, const char *id)
{
	struct pki leaf = leaf_of(&c->ca, id);
	struct cert_own *own = own_of(&leaf, NULL);
	pki_free(&leaf);
	return own;
}
