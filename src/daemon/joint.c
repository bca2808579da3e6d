/* SPDX-License-Identifier: MIT */
#include "daemon/joint.h"

int joint_registration_key(const struct ike_sa *sa, uint8_t key[JOINT_KEY_LEN])
{
	return ike_sa_derive(sa, "Sojourn registration", key, JOINT_KEY_LEN);
}

struct ike_child *joint_other_child(struct ike_child *child)
{
	struct ike_child *newest = NULL;
	const struct conn *c = ike_child_user(child);
	/* In the order in which they were made. */
	for (struct ike_child *o = ike_child_first(ike_child_sa(child)); o; o = ike_child_next(o))
		if (o != child && c && ike_child_user(o) == c)
			newest = o;
	return newest;
}

void joint_forget(struct ike_sa *sa, const struct conn *c)
{
	for (struct ike_child *o = ike_child_first(sa); o; o = ike_child_next(o))
		if (ike_child_user(o) == c)
			ike_child_set_user(o, NULL);
}

usec_t joint_heard_us(struct ike_sa *sa)
{
	usec_t last_us = 0;
	for (struct ike_child *c = ike_child_first(sa); c; c = ike_child_next(c)) {
		const struct conn *conn = ike_child_user(c);
		usec_t heard_us = conn ? conn_heard_us(conn) : 0;
		if (heard_us > last_us)
			last_us = heard_us;
	}
	return last_us;
}
