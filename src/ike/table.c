/* SPDX-License-Identifier: MIT */
/*
 * The exchanges as a table.  Each row stands beside its handlers; here is which one is for what.
 *
 *   exchange          ours (task)                              the peer's
 *   IKE_SA_INIT       init_row                                 init_request: no IKE SA is there yet
 *   IKE_AUTH          auth_row                                 auth_row_request
 *   CREATE_CHILD_SA   child_row_create, rekey_row_child,       the same with _request
 *                     rekey_row_ike
 *   INFORMATIONAL     info_row_*, mobike_row_*                 info_row_request
 */
#include "base/mem.h"
#include "ike/half.h"

const struct row *const table_tasks[TASK_KINDS] = {
    [TASK_INIT] = &init_row,
    [TASK_AUTH] = &auth_row,
    [TASK_CHILD_CREATE] = &child_row_create,
    [TASK_CHILD_REKEY] = &rekey_row_child,
    [TASK_IKE_REKEY] = &rekey_row_ike,
    [TASK_CHILD_DELETE] = &info_row_child_delete,
    [TASK_IKE_DELETE] = &info_row_ike_delete,
    [TASK_LIVENESS] = &info_row_liveness,
    [TASK_MOBIKE] = &mobike_row_update,
    [TASK_ROUTABILITY] = &mobike_row_routability,
};

/* The first that fits: what rekeys before what creates. */
const struct row *const table_requests[] = {
    &auth_row_request,	       &rekey_row_child_request, &rekey_row_ike_request,
    &child_row_create_request, &info_row_request,
};
const size_t table_requests_count = ARRAY_LEN(table_requests);
