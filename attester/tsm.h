/* SPDX-License-Identifier: Apache-2.0 */
/* An entry of configfs-tsm, apart from how it comes to be. Private to the attester. */
#ifndef KEYGATE_ATTESTER_TSM_H
#define KEYGATE_ATTESTER_TSM_H

#include <stdint.h>
#include "attester/evidence.h"

/*
 * Writes report_data to the entry that dir is open on, and fills *out with what it says: report,
 * endorsements, and by its provider which TEE it is. -ENODEV for a provider that is not known,
 * -EBUSY when somebody else wrote to the entry, or another -errno.
 */
int tsm_report(int dir, const uint8_t report_data[static 64], struct evidence *out);

#endif
