/* Asks the kernel who has connected. */
#define _GNU_SOURCE /* struct ucred */
#include "gateway/remote.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static void read_user(int fd, struct remote *out)
{
    struct ucred user;
    socklen_t size = sizeof(user);
    memcpy(out->name, "unix", 5);
    out->is_unix = true;
    out->uid = UINT32_MAX; /* unknown */
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &user, &size) == 0)
        out->uid = user.uid;
}

void remote_read(int fd, struct remote *out)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof(address);
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address;
    char text[INET6_ADDRSTRLEN];
    *out = (struct remote){0};
    if (getpeername(fd, (struct sockaddr *)&address, &size) != 0) { /* closed already */
        memcpy(out->name, "gone", 5);
        return;
    }
    if (address.ss_family == AF_INET &&
        inet_ntop(AF_INET, &v4->sin_addr, text, sizeof(text)) != NULL) {
        snprintf(out->name, sizeof(out->name), "%s:%u", text, ntohs(v4->sin_port));
        out->address[10] = out->address[11] = 0xff;
        memcpy(out->address + 12, &v4->sin_addr, 4);
        return;
    }
    if (address.ss_family == AF_INET6 &&
        inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof(text)) != NULL) {
        snprintf(out->name, sizeof(out->name), "[%s]:%u", text, ntohs(v6->sin6_port));
        memcpy(out->address, &v6->sin6_addr, sizeof(out->address));
        return;
    }
    read_user(fd, out);
}
