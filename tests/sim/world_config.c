/* SPDX-License-Identifier: MIT */
/* The nodes' configurations, read from text as the daemon does; and what a run is like unless its
 * seed, or a test, says otherwise. */
#include <stdio.h>
#include <string.h>
#include "world.h"

#define SECRET "secret = \"one secret of two simulated nodes\" "

static const char terminal_text[] =
    "role = terminal\n"
    "ike { server = \"vpn.example.org\" id = \"alice@example.org\"\n"
    "  " SECRET "}\n"
    "connection wifi0 { interface = wifi0 }\n"
    "connection cell0 { interface = cell0 }\n"
    "connection eth0 { interface = eth0 }\n";

static const char server_text[] =
    "role = home-server\n"
    "listen = { \"192.0.2.1\", \"2001:db8::1\" }\n"
    "home-agent = { \"10.0.0.1\", \"fd00::1\" }\n"
    "ike { id = \"vpn.example.org\" }\n"
    "pool main { address = { \"10.0.0.16-10.0.0.31\", "
    "\"fd00::16-fd00::31\" } }\n"
    "terminal alice { id = \"alice@example.org\" " SECRET " lifetime = 60 %s %s }\n";

/* By [pool], and for the server [strict]. */
static struct config *terminal_cfg, *server_cfgs[2][2];

static struct config *read_text(const char *name, const char *text)
{
	struct err err = {""};
	FILE *in = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
	struct config *c = in ? config_read(in, name, &err) : NULL;
	if (in)
		(void)fclose(in);
	if (!c)
		(void)fprintf(stderr, "%s\n", err.text);
	return c;
}

bool world_prepare(void)
{
	char text[1024];
	terminal_cfg = read_text("terminal", terminal_text);
	for (int pool = 0; pool < 2; pool++)
		for (int strict = 0; strict < 2; strict++) {
			(void)snprintf(text, sizeof(text), server_text,
				       pool ? "pool = main"
					    : "home-address = { \"10.0.0.9\", \"fd00::9\" }",
				       strict ? "policy = strict" : "");
			server_cfgs[pool][strict] = read_text("server", text);
			if (!server_cfgs[pool][strict])
				return false;
		}
	return terminal_cfg != NULL;
}

void world_cleanup(void)
{
	config_free(terminal_cfg);
	for (int pool = 0; pool < 2; pool++)
		for (int strict = 0; strict < 2; strict++)
			config_free(server_cfgs[pool][strict]);
}

static void peer_set(struct ike_peer *p, const struct world_config *cfg, bool server)
{
	p->rekey_us = cfg->ike_rekey_us;
	p->child.rekey_us = cfg->child_rekey_us;
	p->child.life_us = cfg->child_rekey_us * 2;
	p->liveness_us = server ? cfg->server_liveness_us : cfg->terminal_liveness_us;
}

struct config *world_config_terminal(const struct world_config *cfg)
{
	peer_set(&terminal_cfg->terminals->peer->peer, cfg, false);
	return terminal_cfg;
}

struct config *world_config_server(const struct world_config *cfg)
{
	struct config *c = server_cfgs[cfg->pool][cfg->strict];
	peer_set(&c->terminals->peer->peer, cfg, true);
	c->terminals->connections_max = cfg->connections_max;
	return c;
}

const struct world_config *world_defaults(void)
{
	static const struct world_config defaults = {
	    .seed = 1,
	    .spares = 2,
	    .port = IKE_PORT_NATT,
	    .lifetime_s = 60,
	    .connections_max = 1,
	    .child_rekey_us = 3600 * USEC_PER_SEC,
	    .ike_rekey_us = 4 * 3600 * USEC_PER_SEC,
	    .terminal_liveness_us = 30 * USEC_PER_SEC,
	    .server_liveness_us = 600 * USEC_PER_SEC,
	    .half_open_cookie = 64,
	    .fragment_len = 1232,
	    .data_every_us = 100 * USEC_PER_MS,
	    .links = {{.family = 4,
		       .has_nat = true,
		       .host = 7,
		       .network_known = true,
		       .delay_us = 20000},
		      {.family = 4,
		       .has_nat = true,
		       .host = 7,
		       .network_known = true,
		       .delay_us = 50000},
		      {.family = 6, .host = 7, .network_known = true, .delay_us = 10000},
		      {.family = 4, .host = 7, .network_known = true, .delay_us = 1000}},
	};
	return &defaults;
}
