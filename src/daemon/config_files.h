/* SPDX-License-Identifier: MIT */
/* The files that a configuration names: from the disk, or brought along with its text. */
#ifndef DAEMON_CONFIG_FILES_H
#define DAEMON_CONFIG_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include "base/err.h"

#define CONFIG_FILE_MAX	     (4u << 20) /* a CRL can be long */
#define CONFIG_FILES_MAX     4096u
#define CONFIG_FILES_LEN_MAX (64u << 20)

struct config_files;

enum config_files_from {
	CONFIG_FILES_NOWHERE, /* whatever is asked for is refused */
	CONFIG_FILES_DISK,
};
struct config_files *config_files_new(enum config_files_from from);
void config_files_free(struct config_files *f); /* wipes */

/* A file's content, read once and kept; followed by a zero byte that is not counted. */
struct config_file {
	char *data;
	size_t len;
};
/* Borrowed until config_files_free.  NULL, with what is wrong and what to do in err (without
 * place or option).  secret: nobody else may be able to read it. */
const struct config_file *config_files_get(struct config_files *f, const char *name, bool secret,
					   struct err *err);

/* The same for one file by its path, not kept: 0 and *out, the caller's to clear; or -1. */
int config_file_read(const char *path, size_t max, bool secret, struct config_file *out,
		     struct err *err) __attribute__((warn_unused_result));
void config_file_clear(struct config_file *file);

/* A text and all files that were read so far, and back.  0, or -1 with err (of `path`). */
int config_files_pack(const struct config_files *f, const struct config_file *text, FILE *out,
		      const char *path, struct err *err) __attribute__((warn_unused_result));
struct config_files *config_files_unpack(FILE *in, struct config_file *text, const char *path,
					 struct err *err);

#endif
