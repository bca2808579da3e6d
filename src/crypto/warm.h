/* SPDX-License-Identifier: MIT */
/* What the cryptographic library loads lazily, loaded now. */
#ifndef CRYPTO_WARM_H
#define CRYPTO_WARM_H

/* Before the process gives up opening files and most system calls: reads the library's
 * configuration, loads providers and error texts, seeds the random generators of the calling
 * thread, and uses every algorithm of IKE once.  Again is cheap. */
void crypto_warm_up(void);

#endif
