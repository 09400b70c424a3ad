/* TLS by OpenSSL over memory: bytes in, bytes out. Sockets are net/connection.c's business.
 *
 * Both sides. As a client one SSL_CTX an upstream name, with the name checked inside the handshake
 * (X509_VERIFY_PARAM_set1_host), and the newest session kept for resumption; as a server one a listener. TLS 1.2 or later,
 * no renegotiation, no compression. A connection's buffers are given back when it goes idle (tls_release_buffers). Sources:
 * RFC 8446, RFC 5246, RFC 9525 (names), RFC 7301 (ALPN). */
#ifndef SAGEGATE_NET_TLS_H
#define SAGEGATE_NET_TLS_H

#include <openssl/ssl.h>
#include <sys/uio.h>

#include "base/arena.h"
#include "net/loop.h"

/* Whom to trust: one X509_STORE, shared by every context of the process. */
struct tls_trust_options {
    const char *ca_file;               /* PEM, instead of the system's store; NULL: the system's */
    const struct span *extra_ca_files; /* PEM, besides; each ends in NUL */
    size_t extra_ca_file_count;
};
/* NULL, with *fault a text in arena, where a file cannot be read or holds no certificate. */
X509_STORE *tls_trust_load(const struct tls_trust_options *options, struct arena *arena,
                           struct span *fault);

/* What one upstream name needs, one a worker and upstream; or what a listener needs, one for all. */
struct tls_context {
    SSL_CTX *ssl_ctx;
    bool is_server;
    SSL_SESSION *session; /* client: the newest, for resumption; NULL at first */
    char *server_name;    /* client: SNI; NULL for an IP address */
};
/* host: a DNS name or a numeric address. Takes a reference on the store. */
struct tls_context *tls_context_create(struct span host, X509_STORE *trust);
/* A listener's: PEM files of a certificate with its chain, and its key. NULL, with *fault a text in arena, where they cannot
 * be read or do not belong together. Shared by all workers. */
struct tls_context *tls_context_create_server(const char *certificate_file, const char *key_file,
                                              struct arena *arena, struct span *fault);
void tls_context_destroy(struct tls_context *context); /* takes NULL */

struct tls; /* one connection */

struct tls *tls_create(struct tls_context *context, struct loop *loop);
void tls_destroy(struct tls *tls); /* takes NULL */

enum tls_result {
    TLS_OK,
    TLS_MORE,   /* needs more from the peer */
    TLS_CLOSED, /* the peer's close_notify */
    TLS_FAILED, /* fatal; tls_error_text says why */
};

/* Every call below may leave ciphertext in loop->cipher_out, which the caller must send or keep at once. */

/* Advances the handshake with `cipher` (empty to start). On TLS_OK bytes behind the handshake stay inside for tls_read. */
enum tls_result tls_handshake(struct tls *tls, struct span cipher);
/* Decrypts all of `cipher` into out (room for cipher.len + 16 KiB). *len bytes were written, also on CLOSED or FAILED. */
enum tls_result tls_read(struct tls *tls, struct span cipher, char *out, size_t size, size_t *len);
/* Encrypts from iov what gives at most 64 KiB of plaintext, gathered into full records. Returns the bytes taken, -1 when
 * the connection has failed. */
ssize_t tls_write(struct tls *tls, const struct iovec *iov, int count);
/* Puts a close_notify into loop->cipher_out. */
void tls_close_notify(struct tls *tls);
void tls_release_buffers(struct tls *tls);
/* After the handshake: whether an earlier session was resumed. */
bool tls_is_resumed(const struct tls *tls);
/* For people and logs: "certificate has expired", "hostname mismatch", "no close_notify"... Valid until tls_destroy. */
const char *tls_error_text(const struct tls *tls);

#endif
