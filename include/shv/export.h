/* SPDX-License-Identifier: MIT */
/* How the public declarations are marked: visibility, language linkage, attributes. */
#ifndef SHV_EXPORT_H
#define SHV_EXPORT_H

#if defined(__GNUC__) || defined(__clang__)
#define SHV_API __attribute__((visibility("default")))
#define SHV_MUST_USE __attribute__((warn_unused_result))
#define SHV_PURE __attribute__((pure))
#else
#error "libshv needs gcc or clang: its guards use __attribute__((cleanup))"
#endif

#ifdef __cplusplus
#define SHV_BEGIN_DECLS extern "C" {
#define SHV_END_DECLS }
#else
#define SHV_BEGIN_DECLS
#define SHV_END_DECLS
#endif

#endif /* SHV_EXPORT_H */
