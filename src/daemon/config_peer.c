/* SPDX-License-Identifier: MIT */
/*
 * A peer of a configuration: who both sides are, how each proves it, and what is negotiated.
 *
 * A terminal has one, its home server, from section ike.  A home server has one for each terminal
 * section with an identity; what that does not say is taken from section ike.  How each side
 * proves itself follows from what is written: a secret, a password, a certificate; only where
 * that leaves a choice does `auth` have to be written.
 *
 * Ownership: a config_peer owns what its struct ike_peer points to, but certificates, which are
 * counted (config_material.c).  Control thread.
 */
#include <stddef.h>
#include <string.h>
#include "base/mem.h"
#include "daemon/config_field.h"
#include "daemon/config_section.h"

#define SECRET_MIN 8  /* characters: less is guessed offline by whoever asks once */
#define PPK_MIN	   32 /* 256 bits (RFC 8784 6) */

#define REKEY_IKE_S	    (4 * 3600)
#define REKEY_CHILD_S	    3600
#define REKEY_PACKETS	    (1ull << 32)
#define LIVENESS_TERMINAL_S 30
#define LIVENESS_SERVER_S   600 /* a terminal out of reach for minutes is not gone */
#define KEEPALIVE_S	    20

enum auth { AUTH_SECRET, AUTH_CERTIFICATE, AUTH_MSCHAPV2, AUTH_TLS };
static const char *const auth_words[] = {"secret", "certificate", "eap-mschapv2", "eap-tls", NULL};
static const char *const server_auth_words[] = {"secret", "certificate", NULL};

/* A peer as it is being read. */
struct reading {
	struct config_reading *r;
	const struct config_source *s;
	struct config_peer *p;
	const char *whose; /* "section ike", "terminal alice" */
	int line;
	bool server;		     /* we are */
	enum auth auth, server_auth; /* of the terminal, of the home server */
};

static const struct config_item *item(const struct reading *x, const char *name)
{
	cfg_t *sec = config_source_of(x->s, name, NULL);
	return sec ? config_field(sec, name) : NULL;
}

/* Written for this one, with the line it is on. */
static const struct config_item *own_item(const struct reading *x, const char *name)
{
	return config_field(x->s->own, name);
}

/* --- identities and proposals */

/* Long digits are not repeated in a message: they may be a key in the wrong place. */
static bool may_be_key(const char *text)
{
	size_t run = 0;

	for (; *text; text++) {
		bool hex = (*text >= '0' && *text <= '9') || (*text >= 'a' && *text <= 'f') ||
			   (*text >= 'A' && *text <= 'F');
		run = hex ? run + 1 : 0;
		if (run >= 8)
			return true;
	}
	return false;
}

bool config_identity_is_pattern(const struct identity *i)
{
	if (i->type == IDENTITY_FQDN || i->type == IDENTITY_EMAIL)
		return i->len && i->data[0] == '*';
	if (i->type != IDENTITY_DN)
		return i->type == IDENTITY_NONE;
	/* "*" as an attribute's value: one character of some string type. */
	for (size_t k = 2; k < i->len; k++) {
		if (i->data[k] == '*' && i->data[k - 1] == 1 &&
		    (i->data[k - 2] == 0x0c || i->data[k - 2] == 0x13 || i->data[k - 2] == 0x16))
			return true;
	}
	return false;
}

struct identity *config_read_identity(struct config_reading *r, const char *name,
				      const struct config_item *i, bool patterns)
{
	struct err why = {""};
	struct identity *id = i->len ? identity_parse(i->text, &why) : NULL;

	if (!id) {
		config_fail(r, i->line,
			    "%s: %s; write one like \"vpn.example.org\", \"alice@example.org\" or "
			    "\"C=DE, O=Example, CN=alice\"",
			    name,
			    !i->len		  ? "it is empty"
			    : may_be_key(i->text) ? "it is no identity"
						  : why.text);
		return NULL;
	}
	if (patterns || !config_identity_is_pattern(id))
		return id;
	free(id);
	config_fail(r, i->line, "%s is a pattern; our own identity is one, write it whole", name);
	return NULL;
}

int config_read_proposals(struct config_reading *r, cfg_t *sec, const char *name,
			  enum suite_use use, struct suite_list *out)
{
	const struct config_item *i;
	struct err why = {""};

	out->count = 0;
	for (unsigned k = 0; sec && (i = config_field_at(sec, name, k)); k++) {
		if (k == SUITE_PROPOSALS_MAX)
			return config_fail(r, i->line, "more than %d in %s; remove some",
					   SUITE_PROPOSALS_MAX, name);
		if (suite_parse(use, i->text, out, &why) < 0)
			return config_fail(r, i->line, "%s: %s", name,
					   may_be_key(i->text) ? "no proposal; write one like "
								 "\"aes128gcm16-prfsha256-x25519\""
							       : why.text);
	}
	if (!out->count)
		suite_defaults(use, out);
	return 0;
}

/* A terminal: who we are. */
static int read_own_id(struct reading *x)
{
	const struct config_item *i = own_item(x, "id"), *user = own_item(x, "eap-identity");
	const struct cert_own *own = x->p->peer.own;

	if (i)
		x->p->local_id = config_read_identity(x->r, "id", i, false);
	else if (own)
		x->p->local_id = cert_own_subject(own);
	else if (user)
		x->p->local_id = config_read_identity(x->r, "eap-identity", user, false);
	else
		return config_fail(x->r, x->line,
				   "section ike has no id; write who this terminal is, like id = "
				   "\"alice@example.org\"");
	if (!x->p->local_id)
		return i || user ? -1
				 : config_fail(x->r, x->line,
					       "certificate has no subject; "
					       "write id");
	if (i && own && x->auth == AUTH_CERTIFICATE && !cert_own_has_identity(own, x->p->local_id))
		return config_fail(x->r, i->line,
				   "id is not in the certificate; write its subject or one of its "
				   "subjectAltNames, or leave id out");
	return 0;
}

/* A terminal: whom we expect.  The name it is reached by, unless told. */
static int read_server_id(struct reading *x)
{
	const struct config_item *i = own_item(x, "server-id");
	const struct config_ike *ike = x->r->cfg->ike;
	const struct config_server *named = NULL;

	if (i) {
		x->p->remote_id = config_read_identity(x->r, "server-id", i, true);
		return x->p->remote_id ? 0 : -1;
	}
	for (unsigned k = 0; k < ike->server_count; k++) {
		const struct config_server *s = &ike->servers[k];
		if (s->addr.family)
			continue;
		if (named && strcmp(named->name, s->name) != 0)
			return config_fail(x->r, config_field_at(x->s->own, "server", k)->line,
					   "server has two names; write server-id, the identity of "
					   "the home server behind both");
		named = s;
	}
	if (named)
		x->p->remote_id = identity_new(IDENTITY_FQDN, named->name, strlen(named->name));
	else if (x->server_auth == AUTH_CERTIFICATE)
		return config_fail(x->r, config_field(x->s->own, "server")->line,
				   "server is an address, which is in no certificate; write "
				   "server-id, the home server's identity");
	else
		x->p->remote_id = identity_new(IDENTITY_NONE, "", 0);
	return 0;
}

/* A home server: who the terminal is. */
static int read_terminal_id(struct reading *x)
{
	const struct config_item *i = own_item(x, "id");
	bool eap = x->auth == AUTH_MSCHAPV2 || x->auth == AUTH_TLS;

	x->p->local_id = identity_copy(x->r->cfg->ike->id);
	if (i) {
		x->p->remote_id = config_read_identity(x->r, "id", i, true);
		if (!x->p->remote_id)
			return -1;
		x->p->is_pattern = config_identity_is_pattern(x->p->remote_id);
	} else if (eap && own_item(x, "eap-identity")) {
		x->p->remote_id = identity_new(IDENTITY_NONE, "", 0);
	} else {
		return config_fail(x->r, x->line,
				   "%s has no id; write who it is, like id = \"alice@example.org\"",
				   x->whose);
	}
	return 0;
}

/* --- how each side proves itself */

static bool has(cfg_t *sec, const char *name, const char *file)
{
	return config_field(sec, name) || config_field(sec, file);
}

/* What a section says about the terminal's proof: 1 found, 0 nothing, -1. */
static int auth_of_section(struct reading *x, cfg_t *sec)
{
	const struct config_item *i = config_field(sec, "auth");
	unsigned word = 0, found = 0;

	if (i) {
		if (config_value_word(x->r, "auth", i, auth_words, &word) < 0)
			return -1;
		x->auth = (enum auth)word;
		return 1;
	}
	if (!x->server && config_field(sec, "certificate")) {
		x->auth = AUTH_CERTIFICATE;
		found++;
	}
	if (has(sec, "secret", "secret-file")) {
		x->auth = AUTH_SECRET;
		found++;
	}
	if (has(sec, "password", "password-file")) {
		x->auth = AUTH_MSCHAPV2;
		found++;
	}
	if (found > 1)
		return config_fail(x->r, x->line,
				   "%s has several of certificate, secret and password; write auth "
				   "= secret, certificate, eap-mschapv2 or eap-tls",
				   x->whose);
	return (int)found;
}

static int read_auth(struct reading *x)
{
	const struct config_credentials *c = x->r->cfg->ike->credentials;
	unsigned word;
	int found = auth_of_section(x, x->s->own);

	if (found == 0 && x->s->ike)
		found = auth_of_section(x, x->s->ike);
	if (found < 0)
		return -1;
	if (!found && x->server && c->trust)
		x->auth = AUTH_CERTIFICATE;
	else if (!found)
		return config_fail(x->r, x->line,
				   "%s has no secret; write secret = \"...\" (`openssl rand -hex "
				   "32` makes one)%s",
				   x->whose,
				   x->server ? ", or ca = PATH in section ike for certificates"
					     : ", or certificate and private-key");
	bool eap = x->auth == AUTH_MSCHAPV2 || x->auth == AUTH_TLS;
	word = x->server_auth = x->auth == AUTH_SECRET ? AUTH_SECRET : AUTH_CERTIFICATE;
	const struct config_item *i = item(x, "server-auth");
	if (i && config_value_word(x->r, "server-auth", i, server_auth_words, &word) < 0)
		return -1;
	x->server_auth = (enum auth)word;
	if (eap && x->server_auth == AUTH_SECRET)
		return config_fail(x->r, i ? i->line : x->line,
				   "server-auth = secret does not go with auth = %s: with EAP the "
				   "home server proves itself by a certificate (RFC 7296 section "
				   "2.16)",
				   auth_words[x->auth]);
	return 0;
}

static int need(struct reading *x, bool needed, bool there, const char *what, const char *why,
		unsigned word)
{
	if (!needed || there)
		return 0;
	const struct config_item *i = item(x, why);
	return config_fail(x->r, i ? i->line : x->line, "%s: %s = %s needs %s; write it%s",
			   x->whose, why, auth_words[word], what,
			   x->server && strstr(what, "PATH") ? " in section ike" : "");
}

/* A proof that is written for this one and serves nothing is a mistake. */
static int unused(struct reading *x, bool used, const char *name, const char *file)
{
	const struct config_item *i = own_item(x, name);

	i = i || !file ? i : own_item(x, file);
	if (used || !i)
		return 0;
	return config_fail(
	    x->r, i->line,
	    "%s is there, but auth = %s and server-auth = %s do not use it; remove it "
	    "or change them",
	    name, auth_words[x->auth], auth_words[x->server_auth]);
}

/* What `why` (auth or server-auth) asks for: of who proves himself, and of who believes it. */
static int check_needs(struct reading *x, const char *why, enum auth word, bool ours)
{
	const struct ike_peer *p = &x->p->peer;
	bool cert = word == AUTH_CERTIFICATE || word == AUTH_TLS;

	if (need(x, word == AUTH_SECRET, p->psk,
		 "secret = \"...\" (`openssl rand -hex 32` makes one)", why, word) < 0 ||
	    need(x, word == AUTH_MSCHAPV2, p->eap_password, "password = \"...\"", why, word) < 0 ||
	    need(x, cert && ours, p->own, "certificate = PATH and private-key = PATH", why, word) <
		0)
		return -1;
	return need(x, cert && !ours, p->trust, "ca = PATH", why, word);
}

static int check_proofs(struct reading *x)
{
	bool by_secret = x->auth == AUTH_SECRET, by_password = x->auth == AUTH_MSCHAPV2,
	     by_tls = x->auth == AUTH_TLS, server_cert = x->server_auth == AUTH_CERTIFICATE;
	bool own = by_tls || x->auth == AUTH_CERTIFICATE;

	if (check_needs(x, "auth", x->auth, !x->server) < 0 ||
	    check_needs(x, "server-auth", x->server_auth, x->server) < 0)
		return -1;
	if (unused(x, by_secret || !server_cert, "secret", "secret-file") < 0 ||
	    unused(x, by_password, "password", "password-file") < 0 ||
	    unused(x, by_password || by_tls, "eap-identity", NULL) < 0)
		return -1;
	if (!x->server && unused(x, own, "certificate", NULL) < 0)
		return -1;
	if (by_password && x->p->is_pattern)
		return config_fail(
		    x->r, x->line,
		    "%s: auth = eap-mschapv2 has one user and id is a pattern; write "
		    "a terminal for each user",
		    x->whose);
	return 0;
}

static int read_eap(struct reading *x)
{
	const struct config_item *i = own_item(x, "eap-identity"), *id = own_item(x, "id");
	uint8_t *password;
	char user[EAP_IDENTITY_MAX];
	size_t len = 0;
	struct ike_peer *p = &x->p->peer;

	if (config_read_secret(x->r, x->s, "password", true, &password, &len) < 0)
		return -1;
	x->p->eap_password = (char *)password;
	p->eap_password = x->p->eap_password;
	if (i && config_value_text(x->r, "eap-identity", i, user, sizeof(user)) < 0)
		return -1;
	if (x->auth != AUTH_MSCHAPV2 && x->auth != AUTH_TLS)
		return 0;
	p->eap = x->auth == AUTH_TLS ? EAP_TLS : EAP_MSCHAPV2;
	if (i || (id && !x->p->is_pattern))
		x->p->eap_identity = mem_strdup(i ? i->text : id->text);
	else if (!x->server && x->auth == AUTH_MSCHAPV2)
		return config_fail(x->r, x->line,
				   "auth = eap-mschapv2 needs eap-identity or id; "
				   "write the user's name");
	p->eap_identity = x->p->eap_identity;
	if (x->auth != AUTH_TLS || !p->own || !p->trust)
		return 0;
	if (config_credentials_eap_tls(x->r, x->line, x->p->credentials) < 0)
		return -1;
	p->eap_tls = x->p->credentials->eap_tls;
	return 0;
}

static int read_secrets(struct reading *x)
{
	struct ike_peer *p = &x->p->peer;
	const struct config_item *i = item(x, "ppk-id"), *required = item(x, "ppk-required");
	cfg_t *sec = config_source_of(x->s, "secret", "secret-file");
	int line = x->line;

	if (config_read_secret(x->r, x->s, "secret", false, &x->p->psk, &p->psk_len) < 0)
		return -1;
	p->psk = x->p->psk;
	if (sec)
		line = (config_field(sec, "secret") ? config_field(sec, "secret")
						    : config_field(sec, "secret-file"))
			   ->line;
	if (p->psk && p->psk_len < SECRET_MIN)
		return config_fail(x->r, line,
				   "secret has %zu bytes, which can be guessed; `openssl rand -hex "
				   "32` makes a good one",
				   p->psk_len);
	if (config_read_secret(x->r, x->s, "ppk", false, &x->p->ppk, &p->ppk_len) < 0)
		return -1;
	p->ppk = x->p->ppk;
	if (!i != !p->ppk)
		return config_fail(x->r, i ? i->line : x->line,
				   "%s without %s; write both (RFC 8784)", i ? "ppk-id" : "ppk",
				   i ? "ppk" : "ppk-id");
	if (required && config_value_bool(x->r, "ppk-required", required, &p->ppk_required) < 0)
		return -1;
	if (!i)
		return p->ppk_required ? config_fail(x->r, required->line,
						     "ppk-required without ppk-id and ppk; write "
						     "them, or remove it")
				       : 0;
	if (p->ppk_len < PPK_MIN)
		return config_fail(x->r, i->line,
				   "ppk has %zu bytes; against a quantum computer it needs %d or "
				   "more (RFC 8784 section 6): `openssl rand -hex 32` makes one",
				   p->ppk_len, PPK_MIN);
	if (!i->len || i->len > 128)
		return config_fail(x->r, i->line, "ppk-id has 1 to 128 characters");
	x->p->ppk_id = mem_strdup(i->text);
	p->ppk_id = x->p->ppk_id;
	return 0;
}

/* --- what is negotiated, and when again */

static int read_seconds(struct reading *x, const char *name, uint64_t least, uint64_t most,
			usec_t *out)
{
	const struct config_item *i = item(x, name);
	uint64_t v = 0;

	if (!i)
		return 0;
	if (config_value_number(x->r, name, i, 0, most, &v) < 0)
		return -1;
	if (v && v < least)
		return config_fail(x->r, i->line,
				   "%s is too small; write 0 (never) or a number from %llu to %llu",
				   name, (unsigned long long)least, (unsigned long long)most);
	*out = (usec_t)v * USEC_PER_SEC;
	return 0;
}

static int read_times(struct reading *x)
{
	struct ike_peer *p = &x->p->peer;
	const struct {
		const char *name;
		uint64_t least;
		uint64_t *out;
	} counts[] = {{"rekey-bytes", 4096, &x->p->rekey_bytes},
		      {"rekey-packets", 16, &x->p->rekey_packets}};

	p->rekey_us = REKEY_IKE_S * (usec_t)USEC_PER_SEC;
	p->child.rekey_us = REKEY_CHILD_S * (usec_t)USEC_PER_SEC;
	p->liveness_us =
	    (x->server ? LIVENESS_SERVER_S : LIVENESS_TERMINAL_S) * (usec_t)USEC_PER_SEC;
	p->keepalive_us = KEEPALIVE_S * (usec_t)USEC_PER_SEC;
	x->p->rekey_packets = REKEY_PACKETS;
	if (read_seconds(x, "rekey-ike", 10, 7 * 86400, &p->rekey_us) < 0 ||
	    read_seconds(x, "rekey-child", 5, 7 * 86400, &p->child.rekey_us) < 0 ||
	    read_seconds(x, "liveness", 1, 86400, &p->liveness_us) < 0 ||
	    read_seconds(x, "keepalive", 1, 3600, &p->keepalive_us) < 0)
		return -1;
	p->child.life_us = p->child.rekey_us + p->child.rekey_us / 4;
	for (size_t k = 0; k < ARRAY_LEN(counts); k++) {
		const struct config_item *i = item(x, counts[k].name);
		if (!i)
			continue;
		if (config_value_number(x->r, counts[k].name, i, 0, UINT64_MAX / 2, counts[k].out) <
		    0)
			return -1;
		if (*counts[k].out && *counts[k].out < counts[k].least)
			return config_fail(x->r, i->line,
					   "%s is too small; write 0 (never) or %llu or more",
					   counts[k].name, (unsigned long long)counts[k].least);
	}
	return 0;
}

static int read_switches(struct reading *x)
{
	static const char *const encapsulations[] = {"auto", "udp", NULL};
	static const char *const modes[] = {"tunnel", "transport", NULL};
	struct ike_peer *p = &x->p->peer;
	const struct {
		const char *name;
		bool *out;
	} switches[] = {
	    {"mobike", &p->mobike},	  {"fragmentation", &p->fragmentation},
	    {"childless", &p->childless}, {"sojourn", &p->sojourn},
	    {"rsa-pss", &p->rsa_pss},	  {"pfs", &p->child.require_pfs},
	};
	const struct config_item *i;
	unsigned udp = !x->server, transport = 0;

	p->mobike = p->fragmentation = p->sojourn = true;
	/* Who begins has a child SA to make: an exchange more would be for nothing. */
	p->childless = x->server;
	for (size_t k = 0; k < ARRAY_LEN(switches); k++) {
		i = item(x, switches[k].name);
		if (i && config_value_bool(x->r, switches[k].name, i, switches[k].out) < 0)
			return -1;
	}
	i = item(x, "rsa-pss");
	if (p->rsa_pss && (!p->own || !cert_own_is_rsa(p->own)))
		return config_fail(x->r, i->line,
				   "rsa-pss = yes without a certificate of RSA; remove it");
	i = item(x, "encapsulation");
	if (i && config_value_word(x->r, "encapsulation", i, encapsulations, &udp) < 0)
		return -1;
	if (x->server && x->s->ike && own_item(x, "encapsulation"))
		return config_fail(x->r, i->line,
				   "encapsulation is agreed before it is known which terminal it "
				   "is; write it in section ike");
	i = item(x, "mode");
	if (i && config_value_word(x->r, "mode", i, modes, &transport) < 0)
		return -1;
	/* A home server's is told in IKE_SA_INIT: it is the engine's. */
	p->force_udp = !x->server && udp == 1;
	if (x->server)
		x->r->cfg->ike->engine.force_udp = udp == 1;
	p->child.transport = transport == 1;
	p->request_addresses = !x->server && !p->child.transport;
	return 0;
}

/* Of IKE_SA_INIT, where it is not known yet who is there. */
static int add_proposals(struct reading *x)
{
	struct suite_list *all = &x->r->cfg->ike->proposals;
	const struct suite_list *of_peer = &x->p->peer.ike;

	for (unsigned k = 0; k < of_peer->count; k++) {
		unsigned j = 0;
		while (j < all->count && !config_proposal_equal(&all->at[j], &of_peer->at[k]))
			j++;
		if (j < all->count)
			continue;
		if (j == SUITE_PROPOSALS_MAX)
			return config_fail(x->r, own_item(x, "proposals")->line,
					   "proposals: more than %d different ones in section ike "
					   "and the terminals; use fewer",
					   SUITE_PROPOSALS_MAX);
		all->at[all->count++] = of_peer->at[k];
	}
	return 0;
}

static int read_suites(struct reading *x)
{
	struct ike_peer *p = &x->p->peer;

	if (config_read_proposals(x->r, config_source_of(x->s, "proposals", NULL), "proposals",
				  SUITE_IKE, &p->ike) < 0 ||
	    config_read_proposals(x->r, config_source_of(x->s, "esp-proposals", NULL),
				  "esp-proposals", SUITE_ESP, &p->child.esp) < 0)
		return -1;
	return x->server ? add_proposals(x) : 0;
}

/* Insisting on what no proposal has would refuse every connection but the first, and every rekey.
 */
static int check_pfs(struct reading *x)
{
	const struct config_item *i = item(x, "pfs");
	const struct suite_list *esp = &x->p->peer.child.esp;

	for (unsigned k = 0; x->p->peer.child.require_pfs && k < esp->count; k++) {
		if (!esp->at[k].group_count)
			return config_fail(
			    x->r, i->line,
			    "pfs = yes needs a group in each of esp-proposals; write "
			    "them like \"aes128gcm16-x25519\"");
	}
	return 0;
}

/* --- the whole peer */

static void claim_peer(const struct reading *x, const struct config_terminal *t)
{
	struct config_claim c = {.kind = CLAIM_IDENTITY, .owner = t->name, .line = x->line};
	const struct config_item *id = own_item(x, "id"), *user = own_item(x, "eap-identity");

	if (id) {
		c.line = id->line;
		c.identity = x->p->remote_id;
		config_claim(x->r, &c);
	}
	if (!x->p->eap_identity)
		return;
	c.kind = CLAIM_EAP;
	c.identity = NULL;
	c.user = x->p->eap_identity;
	c.line = user ? user->line : c.line;
	config_claim(x->r, &c);
}

static void peer_take_credentials(struct config_peer *p, struct config_credentials *c)
{
	p->credentials = config_credentials_ref(c);
	p->peer.own = c->own;
	p->peer.trust = c->trust;
}

static void peer_finish(struct reading *x)
{
	static const enum ike_auth of[] = {[AUTH_SECRET] = IKE_BY_PSK,
					   [AUTH_CERTIFICATE] = IKE_BY_CERT,
					   [AUTH_MSCHAPV2] = IKE_BY_EAP,
					   [AUTH_TLS] = IKE_BY_EAP};
	struct ike_peer *p = &x->p->peer;

	p->name = x->p->name;
	p->local_id = x->p->local_id;
	p->remote_id = x->p->remote_id;
	p->local_auth = of[x->server ? x->server_auth : x->auth];
	p->remote_auth = of[x->server ? x->auth : x->server_auth];
	p->send_cert = p->own != NULL;
	p->send_certreq = p->trust != NULL && p->remote_auth == IKE_BY_CERT;
}

int config_peer_read(struct config_reading *r, const struct config_source *s,
		     struct config_terminal *t)
{
	const struct config_ike *ike = r->cfg->ike;
	bool server = r->cfg->role == ROLE_HOME_SERVER;
	char whose[CONN_NAME_MAX + 16] = "section ike";
	struct config_peer *p = t->peer = mem_zalloc(sizeof(*p));
	struct reading x = {.r = r,
			    .s = s,
			    .p = p,
			    .whose = whose,
			    .server = server,
			    .line = server ? t->line : ike->line};

	if (server)
		snprintf(whose, sizeof(whose), "terminal %s", t->name);
	snprintf(p->name, sizeof(p->name), "%.*s", CONN_NAME_MAX - 1,
		 server ? t->name : ike->servers[0].name);
	peer_take_credentials(p, ike->credentials);
	if (read_auth(&x) < 0 ||
	    (server		   ? read_terminal_id(&x)
	     : read_own_id(&x) < 0 ? -1
				   : read_server_id(&x)) < 0 ||
	    read_secrets(&x) < 0 || read_eap(&x) < 0 || check_proofs(&x) < 0 ||
	    read_suites(&x) < 0 || read_times(&x) < 0 || read_switches(&x) < 0 || check_pfs(&x) < 0)
		return -1;
	peer_finish(&x);
	if (server)
		claim_peer(&x, t);
	return 0;
}

/* Windows and phones name themselves by an address or not at all; who they are comes with EAP. */
int config_peer_read_eap(struct config_reading *r, cfg_t *ike)
{
	struct config *c = r->cfg;
	const struct config_terminal *first = NULL;
	const struct config_source s = {.own = ike};

	for (const struct config_terminal *t = c->terminals; t; t = t->next) {
		if (!t->peer || t->peer->peer.remote_auth != IKE_BY_EAP)
			continue;
		/* Passwords before certificates: who has both kinds may give an id to the others */
		if (!first || (first->peer->peer.eap == EAP_TLS && t->peer->peer.eap != EAP_TLS))
			first = t;
	}
	if (!first)
		return 0;
	struct config_peer *p = c->ike->eap = mem_zalloc(sizeof(*p));
	struct reading x = {.r = r,
			    .s = &s,
			    .p = p,
			    .whose = "section ike",
			    .line = c->ike->line,
			    .server = true,
			    .auth = first->peer->peer.eap == EAP_TLS ? AUTH_TLS : AUTH_MSCHAPV2,
			    .server_auth = AUTH_CERTIFICATE};
	snprintf(p->name, sizeof(p->name), "eap");
	peer_take_credentials(p, c->ike->credentials);
	p->local_id = identity_copy(c->ike->id);
	p->remote_id = identity_new(IDENTITY_NONE, "", 0);
	p->is_pattern = true;
	p->peer.eap = first->peer->peer.eap;
	p->peer.eap_tls = first->peer->peer.eap_tls;
	if (read_suites(&x) < 0 || read_times(&x) < 0 || read_switches(&x) < 0 || check_pfs(&x) < 0)
		return -1;
	peer_finish(&x);
	return 0;
}

/* --- traffic selectors */

static void selector_add(struct ike_ts_list *l, const struct prefix *p)
{
	if (l->count < IKE_TS_MAX)
		l->at[l->count++] = ike_ts_of_prefix(p);
}

void config_peer_selectors(const struct config *c, struct config_terminal *t)
{
	bool server = c->role == ROLE_HOME_SERVER;
	const struct config_ike *ike = c->ike;
	struct ike_child_config *child = &t->peer->peer.child;
	const struct prefix *subnets = t->pool ? t->pool->subnets : ike->subnets;
	unsigned subnet_count = t->pool ? t->pool->subnet_count : ike->subnet_count;
	struct ike_ts_list *of_terminal = server ? &child->remote : &child->local;

	if (child->transport)
		return;
	/* With networks behind it: those, and its own addresses, which then are configured. */
	for (unsigned k = 0; t->prefix_count && k < t->home_count; k++) {
		struct prefix p = prefix_host(&t->homes[k]);
		selector_add(of_terminal, &p);
	}
	for (unsigned k = 0; k < t->prefix_count; k++)
		selector_add(of_terminal, &t->prefixes[k]);
	/* Registrations go through the tunnel, too. */
	for (unsigned k = 0; server && k < subnet_count; k++)
		selector_add(&child->local, &subnets[k]);
	for (unsigned k = 0; server && subnet_count && k < c->home_agent_count; k++) {
		struct prefix p = prefix_host(&c->home_agents[k]);
		selector_add(&child->local, &p);
	}
}

/* --- the end */

static void secret_free(void *bytes, size_t len)
{
	if (bytes)
		mem_wipe(bytes, len);
	free(bytes);
}

void config_peer_free(struct config_peer *p)
{
	if (!p)
		return;
	free(p->local_id);
	free(p->remote_id);
	secret_free(p->psk, p->peer.psk_len);
	secret_free(p->ppk, p->peer.ppk_len);
	secret_free(p->eap_password, p->eap_password ? strlen(p->eap_password) : 0);
	free(p->ppk_id);
	free(p->eap_identity);
	config_credentials_unref(p->credentials);
	mem_wipe(p, sizeof(*p));
	free(p);
}
