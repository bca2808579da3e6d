/* SPDX-License-Identifier: MIT */
/* A message for a person: what, where, what to do.  Never key material. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

struct err {
	char text[512];
};

/* Sets the text (err may be NULL).  Returns -1, so that `return err_set(...)` reads well. */
int err_set(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
