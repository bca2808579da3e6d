/* SPDX-License-Identifier: MIT */
/* The form of a configuration, as libconfuse knows it.  All options are config_items. */
#ifndef DAEMON_CONFIG_SCHEMA_H
#define DAEMON_CONFIG_SCHEMA_H

#include <confuse.h>
#include "daemon/config_parse.h"
#include "daemon/config_text.h"

/* The caller frees it with cfg_free (which wipes the values); NULL with err.  A section's line
 * is that of its opening brace. */
cfg_t *config_schema_parse(struct config_reading *r, struct config_text *text);
/* Refuses what the role (r->cfg->role) does not have. */
int config_schema_check_role(struct config_reading *r, cfg_t *root);
int config_schema_check_ike(struct config_reading *r, cfg_t *ike);
int config_schema_check_connection(struct config_reading *r, cfg_t *connection);

#endif
