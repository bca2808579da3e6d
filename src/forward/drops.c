/* SPDX-License-Identifier: MIT */
/* The names and texts of the drop reasons, from the list in the header. */
#include <stddef.h>
#include "forward/drops.h"

static const struct {
	const char *name;
	const char *text;
} reasons[DROP_COUNT] = {
#define X(id, name, text) [DROP_##id] = {name, text},
    DROP_REASONS(X)
#undef X
};

const char *drop_name(enum drop_reason r)
{
	return (size_t)r < DROP_COUNT ? reasons[r].name : "unknown";
}

const char *drop_text(enum drop_reason r)
{
	return (size_t)r < DROP_COUNT ? reasons[r].text : "unknown";
}
