// links: net
/* Listening sockets: what is opened, what is rejected and left unchanged, and file modes. */
#include "net/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

struct scene {
    struct arena arena;
    struct span fault;
    char directory[64];
    char path[96];
};

static int set_up(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    arena_init(&scene->arena, 4096);
    snprintf(scene->directory, sizeof(scene->directory), "/tmp/sagegate-listen-XXXXXX");
    assert_non_null(mkdtemp(scene->directory));
    snprintf(scene->path, sizeof(scene->path), "%s/gateway.sock", scene->directory);
    *state = scene;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *scene = *state;
    unlink(scene->path);
    rmdir(scene->directory);
    arena_dispose(&scene->arena);
    free(scene);
    return 0;
}

static struct config_address tcp(const char *text, const char *host, uint16_t port)
{
    return (struct config_address){.text = span_from(text), .host = span_from(host), .port = port};
}

static struct config_address unix_at(const char *path, unsigned mode)
{
    return (struct config_address){
        .text = span_from(path), .unix_path = span_from(path), .unix_mode = mode};
}

static uint16_t port_of(int fd)
{
    struct sockaddr_in name;
    socklen_t len = sizeof(name);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &len), 0);
    return ntohs(name.sin_port);
}

static bool has(struct span text, const char *part)
{
    return memmem(text.at, text.len, part, strlen(part)) != NULL;
}

static void tcp_listener_is_nonblocking_and_reports_its_port(void **state)
{
    struct scene *scene = *state;
    struct config_address address = tcp("127.0.0.1:0", "127.0.0.1", 0);
    int fd = listen_open(&address, 16, &scene->arena, &scene->fault);
    assert_true(fd >= 0);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    char expected[32];
    snprintf(expected, sizeof(expected), "127.0.0.1:%u", (unsigned)port_of(fd));
    assert_string_equal(listen_name(fd, &scene->arena).at, expected);
    listen_close(fd, &address);
}

static void port_in_use_error_names_the_address(void **state)
{
    struct scene *scene = *state;
    struct config_address any = tcp("127.0.0.1:0", "127.0.0.1", 0);
    int fd = listen_open(&any, 16, &scene->arena, &scene->fault);
    struct config_address taken = tcp("127.0.0.1:TAKEN", "127.0.0.1", port_of(fd));
    assert_int_equal(listen_open(&taken, 16, &scene->arena, &scene->fault), -1);
    assert_true(has(scene->fault, "127.0.0.1:TAKEN: cannot listen: Address already in use"));
    listen_close(fd, &any);
}

static void ipv6_listener_is_v6only(void **state)
{
    struct scene *scene = *state;
    struct config_address six = tcp("[::]:0", "::", 0);
    int fd = listen_open(&six, 16, &scene->arena, &scene->fault);
    if (fd == -1)
        skip(); /* no IPv6 on this machine */
    struct config_address four = tcp("0.0.0.0", "0.0.0.0", port_of(fd));
    int other = listen_open(&four, 16, &scene->arena, &scene->fault);
    assert_true(other >= 0);
    assert_true(has(listen_name(fd, &scene->arena), "[::]:"));
    listen_close(other, &four);
    listen_close(fd, &six);
}

static void host_name_is_not_an_address(void **state)
{
    struct scene *scene = *state;
    struct config_address address = tcp("example.com:80", "example.com", 80);
    assert_int_equal(listen_open(&address, 16, &scene->arena, &scene->fault), -1);
    assert_string_equal(scene->fault.at, "example.com:80: not a numeric address");
}

static mode_t mode_at(const char *path)
{
    struct stat st;
    assert_int_equal(lstat(path, &st), 0);
    return st.st_mode & 07777;
}

static void unix_mode_ignores_umask(void **state)
{
    struct scene *scene = *state;
    const mode_t masks[] = {0, 077, 0777};
    const unsigned modes[] = {0600, 0660, 0666};
    for (size_t i = 0; i != 3; ++i)
        for (size_t j = 0; j != 3; ++j) {
            struct config_address address = unix_at(scene->path, modes[j]);
            mode_t before = umask(masks[i]);
            int fd = listen_open(&address, 16, &scene->arena, &scene->fault);
            umask(before);
            assert_true(fd >= 0);
            assert_int_equal(mode_at(scene->path), modes[j]);
            listen_close(fd, &address);
            assert_int_equal(access(scene->path, F_OK), -1);
        }
}

static void stale_socket_is_replaced(void **state)
{
    struct scene *scene = *state;
    struct config_address address = unix_at(scene->path, 0600);
    int dead = listen_open(&address, 16, &scene->arena, &scene->fault);
    close(dead); /* like a process that was killed */
    assert_int_equal(access(scene->path, F_OK), 0);
    int fd = listen_open(&address, 16, &scene->arena, &scene->fault);
    assert_true(fd >= 0);
    char expected[128];
    snprintf(expected, sizeof(expected), "unix:%s", scene->path);
    assert_string_equal(listen_name(fd, &scene->arena).at, expected);
    listen_close(fd, &address);
}

static void live_socket_is_rejected_and_kept(void **state)
{
    struct scene *scene = *state;
    struct config_address address = unix_at(scene->path, 0600);
    int fd = listen_open(&address, 1, &scene->arena, &scene->fault);
    for (int i = 0; i != 4; ++i) { /* the last ones find its backlog full */
        assert_int_equal(listen_open(&address, 16, &scene->arena, &scene->fault), -1);
        assert_true(has(scene->fault, ": another program is listening there"));
    }
    assert_int_equal(access(scene->path, F_OK), 0);
    listen_close(fd, &address);
}

static void non_socket_file_is_kept(void **state)
{
    struct scene *scene = *state;
    close(open(scene->path, O_CREAT | O_WRONLY, 0600));
    struct config_address address = unix_at(scene->path, 0600);
    assert_int_equal(listen_open(&address, 16, &scene->arena, &scene->fault), -1);
    assert_true(has(scene->fault, "the file there is not a socket"));
    assert_int_equal(access(scene->path, F_OK), 0);
}

static void datagram_socket_is_kept(void **state)
{
    struct scene *scene = *state;
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    snprintf(name.sun_path, sizeof(name.sun_path), "%s", scene->path);
    int other = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(other, (struct sockaddr *)&name, sizeof(name)), 0);
    struct config_address address = unix_at(scene->path, 0600);
    assert_int_equal(listen_open(&address, 16, &scene->arena, &scene->fault), -1);
    assert_true(has(scene->fault, "cannot tell whether the socket there is in use"));
    close(other);
}

static void invalid_paths_are_reported(void **state)
{
    struct scene *scene = *state;
    char path[160];
    memset(path, 'x', sizeof(path) - 1);
    path[0] = '/';
    path[sizeof(path) - 1] = '\0';
    struct config_address address = unix_at(path, 0600);
    assert_int_equal(listen_open(&address, 16, &scene->arena, &scene->fault), -1);
    assert_true(has(scene->fault, "a socket's path must be 1 to 107 bytes long"));

    snprintf(path, sizeof(path), "%s/missing/gateway.sock", scene->directory);
    address = unix_at(path, 0600);
    assert_int_equal(listen_open(&address, 16, &scene->arena, &scene->fault), -1);
    assert_true(has(scene->fault, "cannot create the socket: No such file or directory"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(tcp_listener_is_nonblocking_and_reports_its_port),
        TEST(port_in_use_error_names_the_address),
        TEST(ipv6_listener_is_v6only),
        TEST(host_name_is_not_an_address),
        TEST(unix_mode_ignores_umask),
        TEST(stale_socket_is_replaced),
        TEST(live_socket_is_rejected_and_kept),
        TEST(non_socket_file_is_kept),
        TEST(datagram_socket_is_kept),
        TEST(invalid_paths_are_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
