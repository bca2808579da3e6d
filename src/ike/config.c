/* SPDX-License-Identifier: MIT */
/* The engine's defaults, apart from the engine: who reads a configuration needs no more of it. */
#include "ike/ike.h"

void ike_config_defaults(struct ike_config *cfg)
{
	*cfg = (struct ike_config){
	    .half_open_max = 4096,
	    .half_open_cookie = 64,
	    .half_open_per_addr = 16,
	    .half_open_us = 30 * (usec_t)USEC_PER_SEC,
	    .retransmit_us = 500 * (usec_t)USEC_PER_MS,
	    .retransmits = 7,
	    .answer_kept_us = 60 * (usec_t)USEC_PER_SEC,
	    .fragment_len = 1232,
	    .sas_max = 1000000,
	};
}
