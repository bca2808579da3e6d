/* SPDX-License-Identifier: MIT */
/*
 * Policy: by what a terminal may register, and which of its connections are accepted.
 *
 * On a home server for each terminal:
 *   registration = { request, data, setup }   what may make a connection active
 *   accept = shared | active-only             whose inner packets are taken (policy = lenient |
 *                                             strict is the older name)
 *   drain = SECONDS                           with active-only: how long one that was left is taken
 * On a terminal:
 *   registration = request | data             what it does when it moves
 *
 * None of it makes a terminal another one: a reload changes it in place.  Control thread.
 */
#include <string.h>
#include "base/mem.h"
#include "daemon/config_field.h"
#include "daemon/config_section.h"
#include "mobility/registrar.h"

static const char *const kinds[] = {"request", "data", "setup", NULL};
_Static_assert(BINDING_BY_REQUEST == 0 && BINDING_BY_DATA == 1 && BINDING_BY_SETUP == 2,
	       "the order of the words above");

static bool may(const struct config_terminal *t, enum binding_why why)
{
	return t->may & BINDING_MAY(why);
}

/* What data says of order rests on numbers that all connections share. */
static int check_data(struct config_reading *r, const struct config_item *at,
		      const struct config_terminal *t)
{
	if (!t->replay_packets)
		return config_fail(r, at->line,
				   "registration: data needs a replay window, to know which packet "
				   "is the newest; remove replay-window = 0, or data");
	for (const struct config_connection *c = t->connections; c; c = c->next)
		if (!c->esn)
			return config_fail(r, at->line,
					   "registration: data needs numbers that all connections "
					   "share, and connection %s has esn = no; remove that, or "
					   "data",
					   c->name);
	return 0;
}

static int check_kinds(struct config_reading *r, const struct config_item *at,
		       const struct config_terminal *t)
{
	if (t->connections && !may(t, BINDING_BY_REQUEST))
		return config_fail(r, at->line,
				   "registration: terminal %s has configured keys, with which the "
				   "first registration after a start is a request; add request",
				   t->name);
	if (may(t, BINDING_BY_SETUP) && !t->peer && t->may != BINDING_MAY_DEFAULT)
		return config_fail(r, at->line,
				   "registration: setup is one by IKE, which terminal %s does not "
				   "use; remove setup",
				   t->name);
	return may(t, BINDING_BY_DATA) ? check_data(r, at, t) : 0;
}

static int read_kinds(struct config_reading *r, cfg_t *sec, struct config_terminal *t)
{
	const struct config_item *i, *first = config_field_at(sec, "registration", 0);
	uint8_t set = 0;

	t->may = BINDING_MAY_DEFAULT;
	for (unsigned k = 0; (i = config_field_at(sec, "registration", k)); k++) {
		unsigned word = 0;
		if (config_value_word(r, "registration", i, kinds, &word) < 0)
			return -1;
		if (set & 1u << word)
			return config_fail(r, i->line,
					   "registration: %s stands there twice; "
					   "remove one",
					   kinds[word]);
		set |= (uint8_t)(1u << word);
	}
	if (!first)
		return 0;
	t->may = set;
	return check_kinds(r, first, t);
}

static int read_accept(struct config_reading *r, cfg_t *sec, struct config_terminal *t)
{
	static const char *const accepts[] = {"shared", "active-only", NULL};
	static const char *const policies[] = {"lenient", "strict", NULL};
	const struct config_item *accept = config_field(sec, "accept"),
				 *policy = config_field(sec, "policy");
	unsigned word = 0;

	if (accept && policy)
		return config_fail(r, policy->line,
				   "policy is the older name of accept, and both are there; remove "
				   "policy");
	if (config_field_word(r, sec, "accept", accepts, &word) < 0 ||
	    config_field_word(r, sec, "policy", policies, &word) < 0)
		return -1;
	t->strict = word == 1;
	return 0;
}

int config_policy_read(struct config_reading *r, cfg_t *sec, struct config_terminal *t)
{
	static const struct config_number numbers[] = {
	    CONFIG_NUMBER(config_terminal, drain_s, "drain", 0, 3600),
	};
	const struct config_item *drain = config_field(sec, "drain");

	if (read_kinds(r, sec, t) < 0 || read_accept(r, sec, t) < 0 ||
	    config_field_numbers(r, sec, t, numbers, ARRAY_LEN(numbers)) < 0)
		return -1;
	if (drain && !t->strict)
		return config_fail(
		    r, drain->line,
		    "drain: every connection is accepted at any time; write accept = "
		    "active-only, or remove drain");
	return 0;
}

int config_policy_read_own(struct config_reading *r, cfg_t *root, struct config_terminal *t)
{
	static const char *const words[] = {"request", "data", NULL};
	const struct config_item *at = config_field(root, "registration");
	unsigned word = 0;

	if (config_field_word(r, root, "registration", words, &word) < 0)
		return -1;
	t->may = BINDING_MAY_DEFAULT;
	if (word == 1)
		t->may |= BINDING_MAY(BINDING_BY_DATA);
	return word == 1 ? check_data(r, at, t) : 0;
}
