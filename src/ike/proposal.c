/* SPDX-License-Identifier: MIT */
/* SA payloads (RFC 7296 3.3) from and to lists of suites; for IKE, ESP and AH alike. */
#include "ike/state.h"

static uint8_t proposal_protocol(enum suite_use use)
{
	switch (use) {
	case SUITE_IKE:
		return IKE_PROTO_IKE;
	case SUITE_ESP:
		return IKE_PROTO_ESP;
	case SUITE_AH:
		return IKE_PROTO_AH;
	}
	return IKE_PROTO_NONE;
}

static void proposal_fill(struct ike_proposal *to, const struct suite_transform *from, size_t count)
{
	for (size_t i = 0; i < count && i < IKE_TRANSFORMS_MAX; i++)
		to->at[to->count++] = (struct ike_transform){
		    .type = from[i].type, .id = from[i].id, .key_bits = from[i].key_bits};
}

void proposal_put(struct ike_builder *b, enum suite_use use, const struct suite_list *ours,
		  bool groups, const void *spi, uint8_t spi_len)
{
	struct ike_proposals list = {0};
	for (unsigned i = 0; i < ours->count && list.count < IKE_PROPOSALS_MAX; i++) {
		struct suite_transform t[SUITE_TRANSFORMS_MAX];
		struct ike_proposal *p = &list.at[list.count++];
		p->number = list.count;
		p->protocol = proposal_protocol(use);
		p->spi_len = spi_len;
		if (spi_len)
			memcpy(p->spi, spi, spi_len);
		proposal_fill(p, t, suite_transforms(use, &ours->at[i], groups, t));
	}
	ike_put_sa(b, &list);
}

/* The transforms that can be chosen.  One type of which every transform has an attribute that we do
 * not know cannot be satisfied; suite_choose sees that it lacks. */
static size_t proposal_transforms(const struct ike_proposal *p,
				  struct suite_transform out[IKE_TRANSFORMS_MAX])
{
	size_t n = 0;
	for (unsigned i = 0; i < p->count; i++) {
		/* An id that nobody has stands for what must not be chosen. */
		uint16_t id = p->at[i].unknown_attribute ? UINT16_MAX : p->at[i].id;
		out[n++] = (struct suite_transform){
		    .type = p->at[i].type, .id = id, .key_bits = p->at[i].key_bits};
	}
	return n;
}

static bool proposal_fits(enum suite_use use, const struct ike_proposal *p, uint8_t spi_len)
{
	return p->protocol == proposal_protocol(use) && p->spi_len == spi_len;
}

static bool proposal_try(enum suite_use use, const struct suite_list *ours,
			 const struct ike_proposals *offered, bool groups,
			 const struct kex_group *group, bool exactly, uint8_t spi_len,
			 struct proposal_choice *out)
{
	for (unsigned i = 0; i < ours->count; i++) {
		for (unsigned k = 0; k < offered->count; k++) {
			const struct ike_proposal *p = &offered->at[k];
			struct suite_transform t[IKE_TRANSFORMS_MAX];
			struct suite s;
			if (!proposal_fits(use, p, spi_len))
				continue;
			size_t count = proposal_transforms(p, t);
			if (!suite_choose(use, &ours->at[i], t, count, groups, group, &s) ||
			    (exactly && s.group != group))
				continue;
			*out = (struct proposal_choice){
			    .suite = s, .number = p->number, .spi_len = p->spi_len};
			memcpy(out->spi, p->spi, p->spi_len);
			return true;
		}
	}
	return false;
}

bool proposal_choose(enum suite_use use, const struct suite_list *ours,
		     const struct ike_proposals *offered, bool groups,
		     const struct kex_group *group, uint8_t spi_len, struct proposal_choice *out)
{
	if (groups && group && proposal_try(use, ours, offered, groups, group, true, spi_len, out))
		return true;
	return proposal_try(use, ours, offered, groups, group, false, spi_len, out);
}

bool proposal_accept(enum suite_use use, const struct suite_list *ours,
		     const struct ike_proposals *came, bool groups, uint8_t spi_len,
		     struct proposal_choice *out)
{
	unsigned of_type[IKE_TRANSFORM_ESN + 1] = {0};
	if (came->count != 1 || !proposal_fits(use, &came->at[0], spi_len))
		return false;
	/* One of each type, and no type that we do not know. */
	for (unsigned i = 0; i < came->at[0].count; i++) {
		uint8_t type = came->at[0].at[i].type;
		if (!type || type > IKE_TRANSFORM_ESN || of_type[type]++)
			return false;
	}
	/* The number says which of ours it is; some peers count on their own. */
	unsigned number = came->at[0].number;
	if (number >= 1 && number <= ours->count) {
		struct suite_list one = {.count = 1, .at = {ours->at[number - 1]}};
		if (proposal_try(use, &one, came, groups, NULL, false, spi_len, out))
			return true;
	}
	return proposal_try(use, ours, came, groups, NULL, false, spi_len, out);
}

static void transform_add(struct ike_proposal *p, uint8_t type, uint16_t id, uint16_t key_bits)
{
	p->at[p->count++] = (struct ike_transform){.type = type, .id = id, .key_bits = key_bits};
}

void proposal_put_choice(struct ike_builder *b, enum suite_use use, const struct proposal_choice *c,
			 bool groups, const void *spi, uint8_t spi_len)
{
	const struct suite *s = &c->suite;
	struct ike_proposals list = {.count = 1};
	struct ike_proposal *p = &list.at[0];
	p->number = c->number;
	p->protocol = proposal_protocol(use);
	p->spi_len = spi_len;
	if (spi_len)
		memcpy(p->spi, spi, spi_len);
	if (s->encr)
		transform_add(p, IKE_TRANSFORM_ENCR, s->encr->ike_id, s->encr->ike_key_bits);
	if (s->prf && use == SUITE_IKE)
		transform_add(p, IKE_TRANSFORM_PRF, s->prf->ike_id, 0);
	if (s->integ)
		transform_add(p, IKE_TRANSFORM_INTEG, s->integ->ike_id, 0);
	if (s->group && groups)
		transform_add(p, IKE_TRANSFORM_DH, s->group->ike_id, 0);
	if (use != SUITE_IKE)
		transform_add(p, IKE_TRANSFORM_ESN, s->esn ? 1 : 0, 0);
	ike_put_sa(b, &list);
}
