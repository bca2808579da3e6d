/* SPDX-License-Identifier: MIT */
/*
 * Keys of IKE SAs and child SAs (RFC 7296 2.14, 2.17, 2.18), the hashes that find NATs (2.23), and
 * the line that lets Wireshark read an IKE SA.
 *
 *   SKEYSEED = prf(Ni | Nr, g^ir)                   of IKE_SA_INIT
 *   SKEYSEED = prf(SK_d old, g^ir | Ni | Nr)        of a rekey, with the old SA's PRF
 *   SK_d | SK_ai | SK_ar | SK_ei | SK_er | SK_pi | SK_pr = prf+(SKEYSEED, Ni | Nr | SPIi | SPIr)
 *   KEYMAT = prf+(SK_d, [g^ir |] Ni | Nr)
 */
#include <stdio.h>
#include "base/mem.h"
#include "ike/state.h"

#define SK_MAX (3 * PRF_LEN_MAX + 2 * IKE_SEAL_KEY_MAX + 2 * IKE_SEAL_MAC_MAX)

static int skeyseed(const struct ike_sa *sa, const struct ike_sa *old, const uint8_t *shared,
		    size_t shared_len, const uint8_t *ni, size_t ni_len, const uint8_t *nr,
		    size_t nr_len, uint8_t out[PRF_LEN_MAX])
{
	if (old) {
		struct chunk parts[] = {{shared, shared_len}, {ni, ni_len}, {nr, nr_len}};
		return prf_compute(old->suite.prf, old->sk_d, old->suite.prf->len, parts,
				   ARRAY_LEN(parts), out);
	}
	uint8_t nonces[2 * IKE_NONCE_MAX];
	struct chunk part = {shared, shared_len};
	if (ni_len > IKE_NONCE_MAX || nr_len > IKE_NONCE_MAX)
		return -1;
	memcpy(nonces, ni, ni_len);
	memcpy(nonces + ni_len, nr, nr_len);
	return prf_compute(sa->suite.prf, nonces, ni_len + nr_len, &part, 1, out);
}

static void take(struct reader *r, uint8_t *out, size_t len)
{
	reader_copy(r, out, len);
}

int keys_derive(struct ike_sa *sa, const struct ike_sa *old, const uint8_t *shared,
		size_t shared_len, const uint8_t *ni, size_t ni_len, const uint8_t *nr,
		size_t nr_len, struct ike_sk *sk)
{
	const struct prf *prf = sa->suite.prf;
	size_t encr_len = ike_seal_encr_key_len(sa->suite.encr);
	size_t integ_len = ike_seal_integ_key_len(sa->suite.integ);
	size_t len = 3u * prf->len + 2 * encr_len + 2 * integ_len;
	uint8_t seed[PRF_LEN_MAX], mat[SK_MAX];
	struct chunk parts[] = {
	    {ni, ni_len}, {nr, nr_len}, {sa->spi_i, IKE_SPI_LEN}, {sa->spi_r, IKE_SPI_LEN}};
	struct ike_seal *i = sa->initiator ? &sa->seal_out : &sa->seal_in;
	struct ike_seal *r = sa->initiator ? &sa->seal_in : &sa->seal_out;

	int rc = skeyseed(sa, old, shared, shared_len, ni, ni_len, nr, nr_len, seed);
	if (!rc)
		rc = prf_plus(prf, seed, prf->len, parts, ARRAY_LEN(parts), mat, len);
	if (!rc) {
		struct reader in = reader_of(mat, len);
		*i = *r = (struct ike_seal){.encr = sa->suite.encr, .integ = sa->suite.integ};
		take(&in, sa->sk_d, prf->len);
		take(&in, i->integ_key, integ_len);
		take(&in, r->integ_key, integ_len);
		take(&in, i->encr_key, encr_len);
		take(&in, r->encr_key, encr_len);
		if (sk) {
			take(&in, sk->pi, prf->len);
			take(&in, sk->pr, prf->len);
		}
	}
	mem_wipe(seed, sizeof(seed));
	mem_wipe(mat, sizeof(mat));
	return rc;
}

int keys_child(const struct ike_sa *sa, const struct suite *s, bool we_began, const uint8_t *shared,
	       size_t shared_len, const uint8_t *ni, size_t ni_len, const uint8_t *nr,
	       size_t nr_len, uint8_t *key_out, uint8_t *key_in, size_t key_len)
{
	uint8_t mat[2 * (IKE_SEAL_KEY_MAX + IKE_SEAL_MAC_MAX)];
	struct chunk parts[] = {{shared, shared_len}, {ni, ni_len}, {nr, nr_len}};
	size_t want = (s->encr ? s->encr->key_len : 0u) + (s->integ ? s->integ->key_len : 0u);
	if (key_len != want || 2 * key_len > sizeof(mat))
		return -1;
	/* The initiator's way first, encryption before integrity in each. */
	int rc = prf_plus(sa->suite.prf, sa->sk_d, sa->suite.prf->len, parts + (shared ? 0 : 1),
			  shared ? 3 : 2, mat, 2 * key_len);
	if (!rc) {
		memcpy(we_began ? key_out : key_in, mat, key_len);
		memcpy(we_began ? key_in : key_out, mat + key_len, key_len);
	}
	mem_wipe(mat, sizeof(mat));
	return rc;
}

/* --- Wireshark's table ikev2_decryption_table */

static const char *wireshark_encr(const struct alg *a)
{
	static const struct {
		uint16_t id, key_bits;
		const char *name;
	} names[] = {
	    {12, 128, "AES-CBC-128 [RFC3602]"},
	    {12, 192, "AES-CBC-192 [RFC3602]"},
	    {12, 256, "AES-CBC-256 [RFC3602]"},
	    {20, 128, "AES-GCM-128 with 16 octet ICV [RFC5282]"},
	    {20, 256, "AES-GCM-256 with 16 octet ICV [RFC5282]"},
	};
	for (unsigned i = 0; i < ARRAY_LEN(names); i++)
		if (names[i].id == a->ike_id && names[i].key_bits == a->ike_key_bits)
			return names[i].name;
	return NULL;
}

static const char *wireshark_integ(const struct alg *a)
{
	static const struct {
		uint16_t id;
		const char *name;
	} names[] = {
	    {2, "HMAC_SHA1_96 [RFC2404]"},
	    {12, "HMAC_SHA2_256_128 [RFC4868]"},
	    {13, "HMAC_SHA2_384_192 [RFC4868]"},
	    {14, "HMAC_SHA2_512_256 [RFC4868]"},
	};
	if (!a)
		return "NONE [RFC4306]";
	for (unsigned i = 0; i < ARRAY_LEN(names); i++)
		if (names[i].id == a->ike_id)
			return names[i].name;
	return NULL;
}

static void hex(char *out, const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		snprintf(out + 2 * i, 3, "%02x", data[i]);
	out[2 * len] = '\0';
}

void keys_tell(struct ike_sa *sa)
{
	const struct ike *e = sa->engine;
	if (!e->cfg.wireshark || !e->ops.keys)
		return;
	const char *encr = wireshark_encr(sa->suite.encr);
	const char *integ = wireshark_integ(sa->suite.integ);
	if (!encr || !integ)
		return; /* Wireshark cannot read it */
	const struct ike_seal *i = sa->initiator ? &sa->seal_out : &sa->seal_in;
	const struct ike_seal *r = sa->initiator ? &sa->seal_in : &sa->seal_out;
	size_t encr_len = ike_seal_encr_key_len(sa->suite.encr);
	size_t integ_len = ike_seal_integ_key_len(sa->suite.integ);
	char spi[2][2 * IKE_SPI_LEN + 1];
	char key[2][2 * IKE_SEAL_KEY_MAX + 1], mac[2][2 * IKE_SEAL_MAC_MAX + 1];
	char line[sizeof(spi) + sizeof(key) + sizeof(mac) + 128];
	hex(spi[0], sa->spi_i, IKE_SPI_LEN);
	hex(spi[1], sa->spi_r, IKE_SPI_LEN);
	hex(key[0], i->encr_key, encr_len);
	hex(key[1], r->encr_key, encr_len);
	hex(mac[0], i->integ_key, integ_len);
	hex(mac[1], r->integ_key, integ_len);
	snprintf(line, sizeof(line), "%s,%s,%s,%s,\"%s\",%s,%s,\"%s\"", spi[0], spi[1], key[0],
		 key[1], encr, mac[0], mac[1], integ);
	e->ops.keys(e->ops.ctx, sa, line);
	mem_wipe(key, sizeof(key));
	mem_wipe(mac, sizeof(mac));
	mem_wipe(line, sizeof(line));
}

/* --- NATs (RFC 7296 2.23) */

static void spis_hash(const uint8_t *spi_i, const uint8_t *spi_r, const struct endpoint *ep,
		      uint8_t out[20])
{
	uint8_t port[2] = {(uint8_t)(ep->port >> 8), (uint8_t)ep->port};
	struct chunk parts[] = {{spi_i, IKE_SPI_LEN},
				{spi_r, IKE_SPI_LEN},
				{ep->addr.b, addr_len(&ep->addr)},
				{port, sizeof(port)}};
	size_t len;
	if (digest_compute("SHA1", parts, ARRAY_LEN(parts), out, &len))
		memset(out, 0, 20); /* equals nothing: both sides take it for a NAT */
}

void nat_hash(const struct ike_sa *sa, const struct endpoint *ep, uint8_t out[20])
{
	spis_hash(sa->spi_i, sa->spi_r, ep, out);
}

bool nat_is_forced(const struct ike_sa *sa)
{
	/* Who began the first of its line: a rekey may have begun on the other side. */
	bool began = sa->half ? sa->initiator : sa->client;
	return began ? sa->peer && sa->peer->force_udp : sa->engine->cfg.force_udp;
}

void nat_put(const struct ike_sa *sa, const struct ike_path *path, struct ike_builder *b)
{
	uint8_t hash[20];
	/* A source that is nobody's looks like a NAT: both sides encapsulate then. */
	struct endpoint source = path->local;
	if (nat_is_forced(sa))
		source = (struct endpoint){0};
	nat_hash(sa, &source, hash);
	ike_put_notify(b, IKE_N_NAT_DETECTION_SOURCE_IP, hash, sizeof(hash));
	nat_hash(sa, &path->remote, hash);
	ike_put_notify(b, IKE_N_NAT_DETECTION_DESTINATION_IP, hash, sizeof(hash));
}

bool nat_detect(const struct ike_sa *sa, const struct ike_payloads *p, const struct ike_path *path,
		bool *here, bool *there)
{
	uint8_t ours[20], theirs[20];
	bool any_source = false, any_destination = false, source = false, destination = false;
	nat_hash(sa, &path->local, ours);
	nat_hash(sa, &path->remote, theirs);
	for (unsigned i = 0; i < p->count; i++) {
		struct ike_notify n;
		if (p->at[i].type != IKE_PAYLOAD_NOTIFY || !ike_read_notify(&p->at[i], &n) ||
		    n.len != sizeof(ours))
			continue;
		if (n.type == IKE_N_NAT_DETECTION_SOURCE_IP) {
			/* A peer with several addresses sends one of each. */
			any_source = true;
			source |= memcmp(n.data, theirs, sizeof(theirs)) == 0;
		} else if (n.type == IKE_N_NAT_DETECTION_DESTINATION_IP) {
			any_destination = true;
			destination |= memcmp(n.data, ours, sizeof(ours)) == 0;
		}
	}
	if (!any_source || !any_destination)
		return false;
	*here = !destination;
	*there = !source;
	return true;
}
