/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files, whole: bounded reads and atomic, durable writes. For the programs; the pure rooms get
 * bytes and never call this.
 */
#ifndef KEYGATE_CORE_FILE_H
#define KEYGATE_CORE_FILE_H

#include <sys/types.h>
#include <stddef.h>
#include <stdint.h>
#include "bytes.h"

/*
 * Reads a regular file of at most max bytes ("-" is standard input). *out is malloced by us,
 * NUL-terminated beyond n (the NUL is not counted), freed by the caller. -EFBIG when larger.
 */
int file_read(const char *path, size_t max, uint8_t **out, size_t *n);
/* Same from an open descriptor (memfd or file), from its offset 0; the descriptor stays open. */
int file_read_fd(int fd, size_t max, uint8_t **out, size_t *n);
/* Temp file in the same directory, write, fsync, rename, fsync of the directory. */
int file_write_atomic(const char *path, struct bytes content, mode_t mode);
/*
 * A new file in place of whatever has this name below the directory. Neither atomic nor durable:
 * for files that nothing refers to before somebody synced the file system. -ENOENT without its
 * folder.
 */
int file_put_at(int dir, const char *name, struct bytes content, mode_t mode);
/* After a rename in it: the directory that path is in. 0 or -errno. */
int file_sync_directory_of(const char *path);
/* A sealed memfd (no write, no grow, no shrink) that holds content. Descriptor or -errno. */
int file_memfd(const char *name, struct bytes content);

#endif
