/* SPDX-License-Identifier: MIT */
/* libshv: typed values in memory that processes share. This header includes all the others. */
#ifndef SHV_SHV_H
#define SHV_SHV_H

#include <shv/arena.h>
#include <shv/array.h>
#include <shv/bulk.h>
#include <shv/error.h>
#include <shv/export.h>
#include <shv/field.h>
#include <shv/inspect.h>
#include <shv/lock.h>
#include <shv/ptr.h>
#include <shv/raw.h>
#include <shv/serve.h>
#include <shv/string.h>
#include <shv/type.h>
#include <shv/value.h>
#include <shv/version.h>

#endif /* SHV_SHV_H */
