/* SPDX-License-Identifier: Apache-2.0 */
/* The version that every program prints and keygated reports. */
#ifndef KEYGATE_CORE_VERSION_H
#define KEYGATE_CORE_VERSION_H

#define KEYGATE_VERSION "0.1.0"

#endif
