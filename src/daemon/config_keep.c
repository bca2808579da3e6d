/* SPDX-License-Identifier: MIT */
/*
 * Peers over a reload.
 *
 * The engine borrows a peer as long as it has an IKE SA with it, so a peer that is the same in the
 * fresh configuration has to stay the same object: config_peer_keep moves it over.  Certificates,
 * CAs and CRLs do not make a peer another one, or every renewal of a certificate would end every
 * connection: the kept peer is given the fresh ones, and those it had stay for authentications
 * under way.
 *
 * Control thread.
 */
#include <string.h>
#include "base/mem.h"
#include "daemon/config_section.h"

/* --- the same or another */

bool config_proposal_equal(const struct suite_proposal *a, const struct suite_proposal *b)
{
	return a->encr_count == b->encr_count && a->integ_count == b->integ_count &&
	       a->prf_count == b->prf_count && a->group_count == b->group_count &&
	       !memcmp(a->encr, b->encr, a->encr_count * sizeof(a->encr[0])) &&
	       !memcmp(a->integ, b->integ, a->integ_count * sizeof(a->integ[0])) &&
	       !memcmp(a->prf, b->prf, a->prf_count * sizeof(a->prf[0])) &&
	       !memcmp(a->group, b->group, a->group_count * sizeof(a->group[0])) &&
	       a->esn == b->esn && a->no_esn == b->no_esn;
}

static bool suites_equal(const struct suite_list *a, const struct suite_list *b)
{
	if (a->count != b->count)
		return false;
	for (unsigned k = 0; k < a->count; k++) {
		if (!config_proposal_equal(&a->at[k], &b->at[k]))
			return false;
	}
	return true;
}

static bool texts_equal(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static bool bytes_equal(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
	return a_len == b_len && (!a_len || mem_equal(a, b, a_len));
}

static bool selectors_equal(const struct ike_ts_list *a, const struct ike_ts_list *b)
{
	if (a->count != b->count)
		return false;
	for (unsigned k = 0; k < a->count; k++) {
		if (!ike_ts_equal(&a->at[k], &b->at[k]))
			return false;
	}
	return true;
}

static bool child_equal(const struct ike_child_config *a, const struct ike_child_config *b)
{
	return suites_equal(&a->esp, &b->esp) && suites_equal(&a->ah, &b->ah) &&
	       a->transport == b->transport && selectors_equal(&a->local, &b->local) &&
	       selectors_equal(&a->remote, &b->remote) && a->rekey_us == b->rekey_us &&
	       a->life_us == b->life_us && a->require_pfs == b->require_pfs;
}

static bool ike_peer_equal(const struct ike_peer *a, const struct ike_peer *b)
{
	return a->local_auth == b->local_auth && a->remote_auth == b->remote_auth &&
	       bytes_equal(a->psk, a->psk_len, b->psk, b->psk_len) && a->rsa_pss == b->rsa_pss &&
	       a->eap == b->eap && texts_equal(a->eap_identity, b->eap_identity) &&
	       bytes_equal((const uint8_t *)a->eap_password,
			   a->eap_password ? strlen(a->eap_password) : 0,
			   (const uint8_t *)b->eap_password,
			   b->eap_password ? strlen(b->eap_password) : 0) &&
	       texts_equal(a->ppk_id, b->ppk_id) &&
	       bytes_equal(a->ppk, a->ppk_len, b->ppk, b->ppk_len) &&
	       a->ppk_required == b->ppk_required && suites_equal(&a->ike, &b->ike) &&
	       child_equal(&a->child, &b->child) && a->rekey_us == b->rekey_us &&
	       a->liveness_us == b->liveness_us && a->keepalive_us == b->keepalive_us &&
	       a->mobike == b->mobike && a->fragmentation == b->fragmentation &&
	       a->childless == b->childless && a->request_addresses == b->request_addresses &&
	       a->sojourn == b->sojourn && a->force_udp == b->force_udp &&
	       a->send_certreq == b->send_certreq && a->send_cert == b->send_cert;
}

bool config_peer_equal(const struct config_peer *a, const struct config_peer *b)
{
	if (!a || !b)
		return a == b;
	return !strcmp(a->name, b->name) && a->is_pattern == b->is_pattern &&
	       identity_equal(a->local_id, b->local_id) &&
	       identity_equal(a->remote_id, b->remote_id) && a->rekey_bytes == b->rekey_bytes &&
	       a->rekey_packets == b->rekey_packets && ike_peer_equal(&a->peer, &b->peer);
}

/* --- keeping */

/* Authentications end in seconds (half-open-time is at most five minutes). */
#define CREDENTIALS_KEPT_US (10 * 60 * (usec_t)USEC_PER_SEC)

/* What `c` replaced long ago goes. */
static void credentials_prune(struct config_credentials *c, usec_t now_us)
{
	for (; c->before; c = c->before) {
		if (now_us < c->before->replaced_us + CREDENTIALS_KEPT_US)
			continue;
		config_credentials_unref(c->before);
		c->before = NULL;
		return;
	}
}

/* Takes the caller's reference. */
static void peer_use(struct config_peer *p, struct config_credentials *c)
{
	p->credentials = c;
	p->peer.own = c->own;
	p->peer.trust = c->trust;
	p->peer.eap_tls = p->peer.eap == EAP_TLS ? c->eap_tls : NULL;
}

bool config_peer_keep(struct config_peer **old, struct config_peer **fresh, usec_t now_us)
{
	struct config_peer *kept = *old, *unused_one = *fresh;

	if (!kept || !unused_one || !config_peer_equal(kept, unused_one))
		return false;
	struct config_credentials *was = kept->credentials, *is = unused_one->credentials;
	if (was != is) {
		if (!is->before) {
			was->replaced_us = now_us;
			is->before = config_credentials_ref(was);
			credentials_prune(is, now_us);
		}
		peer_use(kept, is);
		peer_use(unused_one, was);
	}
	*fresh = kept;
	*old = unused_one;
	return true;
}
