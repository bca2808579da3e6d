/* SPDX-License-Identifier: MIT */
/*
 * EAP of either role.  The first octet: bit 0 how, bit 1 the client (else the server), from bit 2
 * on the method: MSCHAPv2, TLS 1.2, TLS 1.3.
 *
 * How 0: the rest is packets, each behind two octets of its length, given to that role.
 * How 1: both roles talk to each other, and the rest changes their packets, four octets a change:
 * which packet, where (two), what; so that what lies behind cryptography is reached.
 *
 * Nobody succeeds who does not know the password or have a certificate of the CA.
 */
#include <assert.h>
#include "../unit/eap_rig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct eap_rig *rig;

struct changes {
	const uint8_t *data;
	size_t len;
};

static void change_packet(struct eap_rig *r, unsigned n, uint8_t *packet, size_t *len)
{
	const struct changes *c = r->hook_arg;
	for (size_t i = 0; i + 4 <= c->len; i += 4) {
		const uint8_t *p = c->data + i;
		size_t at = (size_t)p[1] << 8 | p[2];
		if (p[0] % 32 != n || !*len)
			continue;
		if (p[0] & 0x80)
			*len = at % (*len + 1);
		else
			packet[at % *len] ^= p[3];
		if (p[0] & 0x40 && *len >= 4) {
			packet[2] = (uint8_t)(*len >> 8);
			packet[3] = (uint8_t)*len;
		}
	}
}

static void check_end(struct eap *e, enum eap_status s)
{
	uint8_t msk[EAP_MSK_LEN];

	assert(eap_msk(e, msk) == (s == EAP_SUCCESS));
	assert(s != EAP_FAILURE || eap_reason(e)[0]);
	assert(strlen(eap_identity(e)) < EAP_IDENTITY_MAX);
	for (const char *p = eap_identity(e); *p; p++)
		assert((uint8_t)*p >= ' ');
	for (const char *p = eap_reason(e); *p; p++)
		assert((uint8_t)*p >= ' ');
}

static void run_both(void)
{
	uint8_t a[EAP_MSK_LEN], b[EAP_MSK_LEN];

	rig_run(rig);
	check_end(rig->s, rig->server_status);
	check_end(rig->c, rig->client_status);
	if (rig->server_status == EAP_SUCCESS)
		assert(!strcmp(eap_identity(rig->s), RIG_USER));
	if (rig->client_status != EAP_SUCCESS)
		return;
	assert(rig->server_status == EAP_SUCCESS);
	assert(eap_msk(rig->s, a) && eap_msk(rig->c, b));
	assert(mem_equal(a, b, sizeof(a)));
}

static void run_one(bool client, struct reader in)
{
	static uint8_t out[EAP_PACKET_MAX];
	struct eap *e = eap_new(client ? &rig->client : &rig->server);
	enum eap_status s = EAP_GOES_ON;
	size_t out_len;

	assert(e);
	if (!client)
		assert(eap_begin(e, out) == 5);
	while (reader_left(&in) && !in.failed) {
		size_t n = reader_u16(&in);
		n = n < reader_left(&in) ? n : reader_left(&in);
		s = rig_give(e, reader_bytes(&in, n), n, out, &out_len);
		assert(out_len <= EAP_PACKET_MAX);
		assert(!out_len || out_len == ((size_t)out[2] << 8 | out[3]));
		assert(!client || s == EAP_GOES_ON || !out_len);
	}
	/* MSCHAPv2's challenges are the same in each run, so what was seen fits again; TLS draws
	 * its own. */
	assert(s != EAP_SUCCESS || rig->server.method == EAP_MSCHAPV2);
	check_end(e, s);
	eap_free(e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (!rig)
		rig = rig_new();
	if (len < 1)
		return 0;
	unsigned method = data[0] >> 2 & 3;
	struct changes changes = {data + 1, len - 1};

	rig_use_tls(rig, method == 1 ? TLS1_2_VERSION : TLS1_3_VERSION);
	if (method == 0)
		rig->server.method = rig->client.method = EAP_MSCHAPV2;
	rig_seed(rig);
	rig->hook = change_packet;
	rig->hook_arg = &changes;
	if (data[0] & 1)
		run_both();
	else
		run_one(data[0] & 2, reader_of(data + 1, len - 1));
	return 0;
}
