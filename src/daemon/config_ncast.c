/* SPDX-License-Identifier: MIT */
/*
 * Which packets go out on every active connection, and on which connections.
 *
 * Classes are DSCPs by name (RFC 2474, 2597, 3246, 5865, 8622) or number; as a set they are 64
 * bits, of which none means that nothing is said.  No state; control thread.
 */
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "daemon/config_field.h"
#include "daemon/config_section.h"

static const struct {
	const char *name;
	uint8_t dscp;
} classes[] = {
    {"be", 0},	  {"le", 1},	{"cs1", 8},   {"cs2", 16},  {"cs3", 24},  {"cs4", 32},
    {"cs5", 40},  {"cs6", 48},	{"cs7", 56},  {"af11", 10}, {"af12", 12}, {"af13", 14},
    {"af21", 18}, {"af22", 20}, {"af23", 22}, {"af31", 26}, {"af32", 28}, {"af33", 30},
    {"af41", 34}, {"af42", 36}, {"af43", 38}, {"va", 44},   {"ef", 46},
};

static int class_read(struct config_reading *r, const struct config_item *i, uint8_t *dscp)
{
	char *end;
	for (size_t k = 0; k < ARRAY_LEN(classes); k++)
		if (!strcmp(i->text, classes[k].name)) {
			*dscp = classes[k].dscp;
			return 0;
		}
	unsigned long v = strtoul(i->text, &end, 10);
	if (i->text[0] < '0' || i->text[0] > '9' || *end || v > 63)
		return config_fail(r, i->line,
				   "n-cast-class: not a class; write ef, va, be, le, af11 to af43, "
				   "cs1 to cs7, or a DSCP from 0 to 63");
	*dscp = (uint8_t)v;
	return 0;
}

int config_ncast_read_class(struct config_reading *r, cfg_t *sec, uint64_t *out)
{
	const struct config_item *i;
	for (unsigned k = 0; (i = config_field_at(sec, "n-cast-class", k)); k++) {
		uint8_t dscp = 0;
		if (class_read(r, i, &dscp) < 0)
			return -1;
		*out |= UINT64_C(1) << dscp;
	}
	return 0;
}

static int read_interfaces(struct config_reading *r, cfg_t *root, struct config_terminal *t)
{
	const struct config_item *i;
	for (unsigned k = 0; (i = config_field_at(root, "n-cast-interfaces", k)); k++) {
		if (k == CONFIG_NCAST_INTERFACES_MAX)
			return config_fail(r, i->line,
					   "more than %u in n-cast-interfaces; remove some",
					   CONFIG_NCAST_INTERFACES_MAX);
		if (config_value_interface(r, "n-cast-interfaces", i, t->ncast_interfaces[k]) < 0)
			return -1;
		t->ncast_interface_count = (uint8_t)(k + 1);
	}
	return 0;
}

int config_ncast_read_own(struct config_reading *r, cfg_t *root, struct config_terminal *t)
{
	/* In the order of the bits MOVER_NCAST_DOWN and MOVER_NCAST_UP. */
	static const char *const words[] = {"no", "down", "up", "both", NULL};
	unsigned word = 0;
	if (config_field_word(r, root, "n-cast", words, &word) < 0 ||
	    read_interfaces(r, root, t) < 0)
		return -1;
	t->ncast = (uint8_t)word;
	return config_ncast_read_class(r, root, &t->ncast_class);
}

bool config_ncast_equal(const struct config_terminal *a, const struct config_terminal *b)
{
	return a->ncast_class == b->ncast_class &&
	       a->ncast_interface_count == b->ncast_interface_count &&
	       !memcmp(a->ncast_interfaces, b->ncast_interfaces, sizeof(a->ncast_interfaces));
}
