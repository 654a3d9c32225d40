/* SPDX-License-Identifier: MIT */
/* The members of one object, by name, each with its value and its bytes. */
#ifndef SHV_TOOLS_FIELDS_H
#define SHV_TOOLS_FIELDS_H

#include "tools/shvdump.h"

/*
 * Table "fields": members of a structure (of those within it too), or the first items of an array; no table for
 * other objects. The bytes are one consistent copy where the object's lock allows that. 0, or a negative errno.
 */
int fields_table_of(struct run *r, const struct shv_value_info *v);

#endif /* SHV_TOOLS_FIELDS_H */
