/* The limits of the process's control groups.
 *
 * Source: Linux, Documentation/admin-guide/cgroup-v2.rst and cgroup-v1. */
#ifndef SAGEGATE_BASE_CGROUP_H
#define SAGEGATE_BASE_CGROUP_H

#include <stdint.h>

/* Returns the smallest memory limit of the process's cgroups in bytes, UINT64_MAX if none can be
 * read. In a container their paths may be the host's and invisible; the root of the mount is the
 * container's then. */
uint64_t cgroup_memory_limit(void);

#endif
