/* SPDX-License-Identifier: MIT */
/*
 * EAP-MSCHAPv2 (draft-kamath-pppext-eap-mschapv2), both sides.
 *
 *   server                                  client
 *   Challenge: challenge, name     ->
 *                                  <-       Response: its challenge, NT-Response, name
 *   Success: S=authenticator       ->                  or  Failure: E=691 R=0 C=.. V=3 M=..
 *                                  <-       Success                Failure
 *
 *   | op code 1 | MS-CHAPv2-ID 1 | MS-length 2 | ...      the answers to Success and Failure are
 *                                                         the op code alone
 *
 * The server answers a wrong password and a user it does not know by the same octets, and computes
 * the same for both.  Neither side tries again and no password is changed here: the retry flag and
 * a new challenge in a Failure are not used.  The MSK is the server's receive key, its send key
 * and zeros, as other implementations of IKEv2 have it.
 */
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "ike/eap_state.h"

enum op_code { OP_CHALLENGE = 1, OP_RESPONSE = 2, OP_SUCCESS = 3, OP_FAILURE = 4 };

#define MS_HEADER_LEN	  4
#define RESPONSE_RESERVED 8
#define RESPONSE_VALUE_LEN                                                                         \
	(MSCHAP_CHALLENGE_LEN + RESPONSE_RESERVED + MSCHAP_RESPONSE_LEN + 1) /* and flags */
#define MESSAGE_MAX	    512
#define SERVER_NAME	    "sojourn"
#define AUTHENTICATION_FAIL "E=691"

static struct mschap mschap_of(const struct eap *e, const char *user)
{
	return (struct mschap){
	    .authenticator = e->mschap.authenticator, .peer = e->mschap.peer, .user = user};
}

static void draw(struct eap *e, uint8_t *out, size_t len)
{
	e->cfg.random(e->cfg.random_ctx, out, len);
}

/* From what both sides know. */
static bool make_msk(struct eap *e)
{
	uint8_t master[MSCHAP_MASTER_KEY_LEN];
	bool ok = mschap_master_key(e->mschap.nt_hash, e->mschap.response, master) == 0 &&
		  mschap_session_keys(master, e->msk) == 0;
	mem_wipe(master, sizeof(master));
	e->has_msk = ok;
	return ok;
}

static void ms_begin(struct writer *w, enum op_code op, uint8_t id, size_t body_len)
{
	writer_u8(w, (uint8_t)op);
	writer_u8(w, id);
	writer_u16(w, (uint16_t)(MS_HEADER_LEN + body_len));
}

/* --- life */

static bool mschapv2_begin(struct eap *e)
{
	const struct eap_config *c = &e->cfg;
	e->mschap.wait = c->server ? MSCHAP_WAIT_RESPONSE : MSCHAP_WAIT_CHALLENGE;
	if (!mschap_load())
		return false;
	if (c->server)
		return true;
	return c->password && c->password[0] && c->identity[0] &&
	       strlen(c->identity) < EAP_IDENTITY_MAX &&
	       mschap_nt_hash(c->password, e->mschap.nt_hash) == 0;
}

static void mschapv2_end(struct eap *e)
{
	mem_wipe(&e->mschap, sizeof(e->mschap));
}

/* --- server */

static enum eap_step server_start(struct eap *e, struct writer *out)
{
	struct mschap_talk *m = &e->mschap;
	size_t name_len = strlen(SERVER_NAME);

	draw(e, m->authenticator, sizeof(m->authenticator));
	draw(e, &m->id, sizeof(m->id));
	ms_begin(out, OP_CHALLENGE, m->id, 1 + MSCHAP_CHALLENGE_LEN + name_len);
	writer_u8(out, MSCHAP_CHALLENGE_LEN);
	writer_bytes(out, m->authenticator, MSCHAP_CHALLENGE_LEN);
	writer_bytes(out, SERVER_NAME, name_len);
	return EAP_STEP_SEND;
}

/* Sets nt_hash: the user's, or one that nobody has.  False: nobody. */
static bool server_find_user(struct eap *e, const char *user)
{
	const char *slash = strrchr(user, '\\'), *name = user;
	const char *password = e->cfg.password_of(e->cfg.ctx, user);

	if (!password && slash) {
		name = slash + 1;
		password = e->cfg.password_of(e->cfg.ctx, name);
	}
	snprintf(e->identity, sizeof(e->identity), "%s", name);
	bool known = password && password[0];
	if (mschap_nt_hash(known ? password : "nobody", e->mschap.nt_hash) < 0)
		known = false;
	if (!known)
		draw(e, e->mschap.nt_hash, MSCHAP_HASH_LEN);
	return known;
}

static enum eap_step server_refuse(struct eap *e, struct writer *out)
{
	char text[MESSAGE_MAX], *p = text;
	uint8_t challenge[MSCHAP_CHALLENGE_LEN];

	draw(e, challenge, sizeof(challenge));
	p += sprintf(p, AUTHENTICATION_FAIL " R=0 C=");
	for (size_t i = 0; i < sizeof(challenge); i++)
		p += sprintf(p, "%02X", challenge[i]);
	p += sprintf(p, " V=3 M=Authentication failed");
	ms_begin(out, OP_FAILURE, e->mschap.id, (size_t)(p - text));
	writer_bytes(out, text, (size_t)(p - text));
	e->stage = EAP_STAGE_DOOMED;
	return EAP_STEP_SEND;
}

static enum eap_step server_accept(struct eap *e, const uint8_t proof[MSCHAP_PROOF_LEN],
				   struct writer *out)
{
	char text[MESSAGE_MAX], *p = text;

	p += sprintf(p, "S=");
	for (size_t i = 0; i < MSCHAP_PROOF_LEN; i++)
		p += sprintf(p, "%02X", proof[i]);
	p += sprintf(p, " M=OK");
	ms_begin(out, OP_SUCCESS, e->mschap.id, (size_t)(p - text));
	writer_bytes(out, text, (size_t)(p - text));
	e->mschap.wait = MSCHAP_WAIT_RESULT;
	return EAP_STEP_SEND;
}

/* in: behind the MS-CHAPv2 header. */
static enum eap_step server_response(struct eap *e, struct reader *in, struct writer *out)
{
	struct mschap_talk *m = &e->mschap;
	uint8_t expected[MSCHAP_RESPONSE_LEN], proof[MSCHAP_PROOF_LEN];
	char user[EAP_IDENTITY_MAX];

	uint8_t value_len = reader_u8(in);
	reader_copy(in, m->peer, sizeof(m->peer));
	reader_skip(in, RESPONSE_RESERVED);
	reader_copy(in, m->response, sizeof(m->response));
	reader_skip(in, 1);
	if (in->failed || value_len != RESPONSE_VALUE_LEN || !eap_read_name(in, user) || !user[0])
		return eap_fail(e, "a malformed MSCHAPv2 response");
	const struct mschap c = mschap_of(e, user);
	bool known = server_find_user(e, user);
	bool good = mschap_response(&c, m->nt_hash, expected) == 0 &&
		    mschap_proof(&c, m->nt_hash, m->response, proof) == 0 && make_msk(e);
	good &= mem_equal(expected, m->response, sizeof(expected));
	mem_wipe(expected, sizeof(expected));
	if (!known || !good) {
		(void)eap_fail(e, known ? "wrong password" : "no such user");
		return server_refuse(e, out);
	}
	return server_accept(e, proof, out);
}

static enum eap_step server_message(struct eap *e, struct reader *in, struct writer *out)
{
	uint8_t op = reader_u8(in);

	if (e->mschap.wait == MSCHAP_WAIT_RESULT) {
		if (op == OP_SUCCESS)
			return EAP_STEP_DONE;
		return eap_fail(e, op == OP_FAILURE ? "the client does not believe that we know "
						      "the password"
						    : "an MSCHAPv2 packet out of order");
	}
	uint8_t id = reader_u8(in);
	size_t len = reader_u16(in);
	if (in->failed || op != OP_RESPONSE || id != e->mschap.id ||
	    len != MS_HEADER_LEN + reader_left(in))
		return eap_fail(e, "no MSCHAPv2 response, or a malformed one");
	return server_response(e, in, out);
}

/* --- client */

/* in: behind the MS-CHAPv2 header. */
static enum eap_step client_challenge(struct eap *e, uint8_t id, struct reader *in,
				      struct writer *out)
{
	struct mschap_talk *m = &e->mschap;
	const char *user = e->cfg.identity;
	uint8_t value_len = reader_u8(in);
	const uint8_t *challenge = reader_bytes(in, MSCHAP_CHALLENGE_LEN);

	if (!challenge || value_len != MSCHAP_CHALLENGE_LEN)
		return eap_ignore(e, "a malformed MSCHAPv2 challenge");
	memcpy(m->authenticator, challenge, MSCHAP_CHALLENGE_LEN);
	draw(e, m->peer, sizeof(m->peer));
	const struct mschap c = mschap_of(e, user);
	if (mschap_response(&c, m->nt_hash, m->response) < 0)
		return eap_fail(e, "the cryptographic library failed");
	m->id = id;
	m->wait = MSCHAP_WAIT_RESULT;
	ms_begin(out, OP_RESPONSE, id, 1 + RESPONSE_VALUE_LEN + strlen(user));
	writer_u8(out, RESPONSE_VALUE_LEN);
	writer_bytes(out, m->peer, sizeof(m->peer));
	writer_zero(out, RESPONSE_RESERVED);
	writer_bytes(out, m->response, sizeof(m->response));
	writer_u8(out, 0);
	writer_bytes(out, user, strlen(user));
	return EAP_STEP_SEND;
}

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	uint8_t lower = c | 0x20;
	return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* "S=" and 40 digits, then the end or a space. */
static bool read_proof(struct reader *in, uint8_t out[MSCHAP_PROOF_LEN])
{
	bool good = reader_u8(in) == 'S' && reader_u8(in) == '=';

	for (size_t i = 0; good && i < MSCHAP_PROOF_LEN; i++) {
		int high = hex_digit(reader_u8(in)), low = hex_digit(reader_u8(in));
		good = high >= 0 && low >= 0;
		out[i] = (uint8_t)((unsigned)high << 4 | (unsigned)low);
	}
	return good && !in->failed && (!reader_left(in) || reader_u8(in) == ' ');
}

static enum eap_step client_success(struct eap *e, struct reader *in, struct writer *out)
{
	uint8_t told[MSCHAP_PROOF_LEN], expected[MSCHAP_PROOF_LEN];
	const struct mschap c = mschap_of(e, e->cfg.identity);

	if (!read_proof(in, told))
		return eap_ignore(e, "a malformed MSCHAPv2 success");
	if (mschap_proof(&c, e->mschap.nt_hash, e->mschap.response, expected) < 0)
		return eap_fail(e, "the cryptographic library failed");
	if (!mem_equal(told, expected, sizeof(told)))
		return eap_fail(e, "the server does not know the password");
	if (!make_msk(e))
		return eap_fail(e, "the cryptographic library failed");
	writer_u8(out, OP_SUCCESS);
	e->stage = EAP_STAGE_PROVED;
	return EAP_STEP_SEND;
}

/* "E=691 R=0 C=... V=3 M=text", by anybody: into the reason as it can be printed. */
static enum eap_step client_failure(struct eap *e, struct reader *in, struct writer *out)
{
	char text[MESSAGE_MAX];
	size_t len = 0;

	while (reader_left(in) && len + 1 < sizeof(text)) {
		uint8_t c = reader_u8(in);
		text[len++] = c >= ' ' && c < 0x7f ? (char)c : '?';
	}
	text[len] = '\0';
	const char *message = strstr(text, "M=");
	if (strncmp(text, AUTHENTICATION_FAIL, strlen(AUTHENTICATION_FAIL)) == 0)
		(void)eap_fail(e, "wrong user or password: the server says \"%.100s\" (E=691)",
			       message ? message + 2 : "");
	else
		(void)eap_fail(e, "the server says \"%.150s\"", text);
	writer_u8(out, OP_FAILURE);
	e->stage = EAP_STAGE_DOOMED;
	return EAP_STEP_SEND;
}

static enum eap_step client_message(struct eap *e, struct reader *in, struct writer *out)
{
	uint8_t op = reader_u8(in), id = reader_u8(in);
	size_t len = reader_u16(in);
	bool waits_result = e->mschap.wait == MSCHAP_WAIT_RESULT;

	if (in->failed || len != MS_HEADER_LEN + reader_left(in))
		return eap_ignore(e, "a malformed MSCHAPv2 packet");
	if (op == OP_CHALLENGE && !waits_result)
		return client_challenge(e, id, in, out);
	if (op == OP_SUCCESS && waits_result)
		return client_success(e, in, out);
	if (op == OP_FAILURE && waits_result)
		return client_failure(e, in, out);
	return eap_ignore(e, "an MSCHAPv2 packet out of order");
}

static enum eap_step mschapv2_input(struct eap *e, struct reader *in, struct writer *out)
{
	return e->cfg.server ? server_message(e, in, out) : client_message(e, in, out);
}

const struct eap_method_ops eap_mschapv2_ops = {
    .begin = mschapv2_begin,
    .end = mschapv2_end,
    .start = server_start,
    .input = mschapv2_input,
};
