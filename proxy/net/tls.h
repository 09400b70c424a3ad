/* TLS by OpenSSL over memory: bytes in, bytes out. Knows no sockets.
 *
 * Client: one SSL_CTX an upstream name, which the handshake itself checks
 * (X509_VERIFY_PARAM_set1_host), and the newest session kept for resumption. Server: one SSL_CTX a
 * listener. TLS 1.2 or later, no renegotiation, no compression. Sources: RFC 8446, RFC 5246, RFC
 * 9525 (names), RFC 7301 (ALPN). */
#ifndef SAGEGATE_NET_TLS_H
#define SAGEGATE_NET_TLS_H

#include <openssl/ssl.h>
#include <sys/uio.h>

#include "base/arena.h"
#include "net/loop.h"

/* CAs to trust: one X509_STORE, which contexts share. */
struct tls_trust_options {
    const char *ca_file;               /* PEM; NULL: the system's store */
    const struct span *extra_ca_files; /* PEM, in addition; each ends in NUL */
    size_t extra_ca_file_count;
};
/* NULL, with *fault in arena, if a file cannot be read or holds no certificate. */
X509_STORE *tls_trust_load(const struct tls_trust_options *options, struct arena *arena,
                           struct span *fault);

/* What connections share: one a worker and upstream name, or one a listener. */
struct tls_context {
    SSL_CTX *ssl_ctx;
    bool is_server;
    SSL_SESSION *session; /* client: the newest, for resumption; NULL at first */
    char *server_name;    /* client: SNI; NULL for an IP address */
};
/* host: a DNS name or a numeric address. Takes a reference on the store. */
struct tls_context *tls_context_create(struct span host, X509_STORE *trust);
/* From now on OpenSSL wipes decrypted data as it is read: for responses that hold secrets. */
void tls_context_cleanse(struct tls_context *context);
/* PEM files of a certificate with its chain, and of its key. NULL, with *fault in arena, if they
 * cannot be read or do not match. Shared by all workers. */
struct tls_context *tls_context_create_server(const char *certificate_file, const char *key_file,
                                              struct arena *arena, struct span *fault);
void tls_context_destroy(struct tls_context *context); /* accepts NULL */

struct tls; /* one connection */

struct tls *tls_create(struct tls_context *context, struct loop *loop);
void tls_destroy(struct tls *tls); /* accepts NULL */

enum tls_result {
    TLS_OK,
    TLS_MORE,   /* needs more from the peer */
    TLS_CLOSED, /* the peer's close_notify */
    TLS_FAILED, /* fatal; tls_error_text says why */
};

/* Each call below may leave ciphertext in loop->cipher_out: the caller sends or keeps it at
 * once. */

/* Advances the handshake with `cipher` (empty to start). With TLS_OK, bytes after the handshake
 * stay inside for tls_read. */
enum tls_result tls_handshake(struct tls *tls, struct span cipher);
/* Decrypts all of `cipher` into out (room for cipher.len + 16 KiB). Sets *len to the bytes written,
 * also with TLS_CLOSED and TLS_FAILED. */
enum tls_result tls_read(struct tls *tls, struct span cipher, char *out, size_t size, size_t *len);
/* Encrypts at most 64 KiB of iov, gathered into full records. Returns the bytes taken, -1 if the
 * connection has failed. */
ssize_t tls_write(struct tls *tls, const struct iovec *iov, int count);
/* Puts a close_notify into loop->cipher_out. */
void tls_close_notify(struct tls *tls);
void tls_release_buffers(struct tls *tls);
/* After the handshake: whether an earlier session was resumed. */
bool tls_is_resumed(const struct tls *tls);
/* For people and logs: "certificate has expired", "hostname mismatch". Valid until tls_destroy. */
const char *tls_error_text(const struct tls *tls);

#endif
