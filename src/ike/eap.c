/* SPDX-License-Identifier: MIT */
/* No EAP method is built in yet: a conversation cannot be begun, and IKE_AUTH says so. */
#include "ike/eap.h"

struct eap *eap_new(const struct eap_config *cfg)
{
	(void)cfg;
	return NULL;
}

void eap_free(struct eap *e)
{
	(void)e;
}

size_t eap_begin(struct eap *e, uint8_t out[EAP_PACKET_MAX])
{
	(void)e;
	(void)out;
	return 0;
}

enum eap_status eap_input(struct eap *e, const uint8_t *packet, size_t len,
			  uint8_t out[EAP_PACKET_MAX], size_t *out_len)
{
	(void)e;
	(void)packet;
	(void)len;
	(void)out;
	*out_len = 0;
	return EAP_FAILURE;
}

bool eap_msk(const struct eap *e, uint8_t out[EAP_MSK_LEN])
{
	(void)e;
	(void)out;
	return false;
}

const char *eap_identity(const struct eap *e)
{
	(void)e;
	return "";
}

const char *eap_reason(const struct eap *e)
{
	(void)e;
	return "no EAP method is built in";
}
