/* SPDX-License-Identifier: MIT */
/* A terminal of the configuration, or somebody who fits its pattern, as the registrar has it. */
#ifndef DAEMON_HOME_TERMINAL_H
#define DAEMON_HOME_TERMINAL_H

#include "daemon/config.h"
#include "mobility/registrar.h"

/* With these home addresses, and room for a registration key; requests from before wall_us are
 * past.
 */
struct registrar_terminal *home_terminal_new(const struct config_terminal *t, const char *name,
					     const struct addr *homes, uint8_t home_count,
					     uint64_t wall_us) __attribute__((returns_nonnull));

#endif
