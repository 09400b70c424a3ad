/* What the process's control groups allow it (Linux, Documentation/admin-guide/cgroup-v2.rst and cgroup-v1). */
#ifndef SAGEGATE_BASE_CGROUP_H
#define SAGEGATE_BASE_CGROUP_H

#include <stdint.h>

/* The least memory limit of the process's own cgroups, in bytes; UINT64_MAX where there is none to be read. In a container
 * their paths may be the host's, which are not to be seen; then the root of the mount is the container's own. */
uint64_t cgroup_memory_limit(void);

#endif
