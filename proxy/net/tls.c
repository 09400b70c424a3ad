/* TLS over memory: an OpenSSL BIO that reads a span and writes into the loop's scratch. */
#include "net/tls.h"

#include "net/address.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { WRITE_AHEAD_MAX = 64 * 1024 };

struct tls {
    SSL *ssl;
    struct loop *loop;
    struct span in; /* ciphertext not yet taken by OpenSSL; empty between calls */
    char error[160];
};

static BIO_METHOD *bio_method;
static pthread_once_t bio_method_once = PTHREAD_ONCE_INIT;

static int bio_read(BIO *bio, char *out, int size)
{
    struct tls *tls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (tls->in.len == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t taken = tls->in.len < (size_t)size ? tls->in.len : (size_t)size;
    memcpy(out, tls->in.at, taken);
    tls->in = span_from_offset(tls->in, taken);
    return (int)taken;
}

static int bio_write(BIO *bio, const char *bytes, int size)
{
    struct tls *tls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    buffer_append(&tls->loop->cipher_out, span_make(bytes, (size_t)size));
    return tls->loop->cipher_out.overflowed ? -1 : size;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static void make_bio_method(void)
{
    bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "sagegate loop scratch");
    CHECK(bio_method != NULL);
    BIO_meth_set_read(bio_method, bio_read);
    BIO_meth_set_write(bio_method, bio_write);
    BIO_meth_set_ctrl(bio_method, bio_ctrl);
}

/* ---- trust ---- */

static bool load_file(X509_STORE *store, const char *file, struct arena *arena, struct span *fault)
{
    ERR_clear_error();
    if (X509_STORE_load_file(store, file) == 1)
        return true;
    *fault = arena_printf(arena, "%s: no CA certificate could be read (%s)", file,
                          ERR_reason_error_string(ERR_peek_last_error()));
    ERR_clear_error();
    return false;
}

X509_STORE *tls_trust_load(const struct tls_trust_options *options, struct arena *arena,
                           struct span *fault)
{
    X509_STORE *store = X509_STORE_new();
    CHECK(store != NULL);
    bool loaded;
    if (options->ca_file != NULL) {
        loaded = load_file(store, options->ca_file, arena, fault);
    } else {
        loaded = X509_STORE_set_default_paths(store) == 1;
        if (!loaded)
            *fault = SPAN("the system's CA certificates could not be loaded; install "
                          "ca-certificates or set ca_file");
    }
    for (size_t i = 0; loaded && i != options->extra_ca_file_count; ++i)
        loaded = load_file(store, options->extra_ca_files[i].at, arena, fault);
    if (loaded)
        return store;
    X509_STORE_free(store);
    return NULL;
}

/* ---- contexts ---- */

/* OpenSSL reports each new session (TLS 1.3: after the handshake); the newest replaces the last. */
static int on_new_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls_context *context = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    SSL_SESSION_free(context->session);
    context->session = session;
    return 1;
}

struct tls_context *tls_context_create(struct span host, X509_STORE *trust)
{
    pthread_once(&bio_method_once, make_bio_method);

    struct tls_context *context = calloc(1, sizeof(*context));
    char *name = strndup(host.at, host.len);
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    CHECK(context != NULL && name != NULL && ctx != NULL);

    X509_VERIFY_PARAM *verify = SSL_CTX_get0_param(ctx);
    struct address unused;
    bool numeric = address_parse(host, 0, &unused);
    if (numeric)
        CHECK(X509_VERIFY_PARAM_set1_ip_asc(verify, name) == 1);
    if (!numeric) {
        X509_VERIFY_PARAM_set_hostflags(verify, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        CHECK(X509_VERIFY_PARAM_set1_host(verify, name, 0) == 1);
    }
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set1_cert_store(ctx, trust);
    CHECK(SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, on_new_session);
    SSL_CTX_set_app_data(ctx, context);

    context->ssl_ctx = ctx;
    context->server_name = name;
    if (numeric) {
        free(name);
        context->server_name = NULL;
    }
    return context;
}

void tls_context_cleanse(struct tls_context *context)
{
    SSL_CTX_set_options(context->ssl_ctx, SSL_OP_CLEANSE_PLAINTEXT);
}

/* The callers speak HTTP/1.1 and nothing else (RFC 7301). */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                   const unsigned char *in, unsigned in_len, void *context)
{
    static const unsigned char ours[] = "\x08http/1.1";
    (void)ssl, (void)context;
    unsigned char *chosen;
    if (SSL_select_next_proto(&chosen, out_len, ours, sizeof(ours) - 1, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

struct tls_context *tls_context_create_server(const char *certificate_file, const char *key_file,
                                              struct arena *arena, struct span *fault)
{
    pthread_once(&bio_method_once, make_bio_method);
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    CHECK(ctx != NULL);
    ERR_clear_error();
    const char *file = certificate_file;
    bool loaded = SSL_CTX_use_certificate_chain_file(ctx, certificate_file) == 1;
    if (loaded) {
        file = key_file;
        loaded = SSL_CTX_use_PrivateKey_file(ctx, key_file, SSL_FILETYPE_PEM) == 1 &&
                 SSL_CTX_check_private_key(ctx) == 1;
    }
    if (!loaded) {
        const char *reason = ERR_reason_error_string(ERR_peek_error());
        *fault = arena_printf(arena, "%s: %s", file, reason == NULL ? "cannot be read" : reason);
        ERR_clear_error();
        SSL_CTX_free(ctx);
        return NULL;
    }
    CHECK(SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* tickets resume without memory */
    SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);

    struct tls_context *context = calloc(1, sizeof(*context));
    CHECK(context != NULL);
    context->ssl_ctx = ctx;
    context->is_server = true;
    return context;
}

void tls_context_destroy(struct tls_context *context)
{
    if (context == NULL)
        return;
    SSL_SESSION_free(context->session);
    SSL_CTX_free(context->ssl_ctx);
    free(context->server_name);
    free(context);
}

/* ---- connections ---- */

struct tls *tls_create(struct tls_context *context, struct loop *loop)
{
    struct tls *tls = calloc(1, sizeof(*tls));
    CHECK(tls != NULL);
    tls->loop = loop;
    tls->ssl = SSL_new(context->ssl_ctx);
    BIO *bio = BIO_new(bio_method);
    CHECK(tls->ssl != NULL && bio != NULL);
    BIO_set_data(bio, tls);
    BIO_set_init(bio, 1);
    SSL_set_bio(tls->ssl, bio, bio);
    if (context->is_server)
        SSL_set_accept_state(tls->ssl);
    else
        SSL_set_connect_state(tls->ssl);
    if (context->server_name != NULL)
        SSL_set_tlsext_host_name(tls->ssl, context->server_name);
    if (context->session != NULL && SSL_SESSION_is_resumable(context->session))
        SSL_set_session(tls->ssl, context->session);
    return tls;
}

void tls_destroy(struct tls *tls)
{
    if (tls == NULL)
        return;
    /* Otherwise OpenSSL discards the session of a connection that was not shut down. */
    SSL_set_shutdown(tls->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(tls->ssl);
    free(tls);
}

static enum tls_result fail(struct tls *tls)
{
    long verify = SSL_get_verify_result(tls->ssl);
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    if (verify != X509_V_OK)
        snprintf(tls->error, sizeof(tls->error), "certificate: %s",
                 X509_verify_cert_error_string(verify));
    if (verify == X509_V_OK)
        snprintf(tls->error, sizeof(tls->error), "%s", reason == NULL ? "protocol error" : reason);
    ERR_clear_error();
    return TLS_FAILED;
}

static enum tls_result result_of(struct tls *tls, int returned)
{
    switch (SSL_get_error(tls->ssl, returned)) {
    case SSL_ERROR_WANT_READ:
        return TLS_MORE;
    case SSL_ERROR_ZERO_RETURN:
        return TLS_CLOSED;
    default:
        return fail(tls);
    }
}

enum tls_result tls_handshake(struct tls *tls, struct span cipher)
{
    tls->in = cipher;
    ERR_clear_error();
    int returned = SSL_do_handshake(tls->ssl);
    if (returned == 1)
        return TLS_OK;
    enum tls_result result = result_of(tls, returned);
    tls->in = SPAN_NONE;
    return result;
}

enum tls_result tls_read(struct tls *tls, struct span cipher, char *out, size_t size, size_t *len)
{
    if (cipher.len != 0) /* else: what tls_handshake left inside */
        tls->in = cipher;
    ERR_clear_error();
    *len = 0;
    /* Without read-ahead OpenSSL holds only what SSL_pending counts and the rest of a record. */
    while (tls->in.len != 0 || SSL_has_pending(tls->ssl)) {
        size_t got = 0;
        int returned = SSL_read_ex(tls->ssl, out + *len, size - *len, &got);
        *len += got;
        if (returned == 1) {
            CHECK(*len != size); /* the room given is more than the input can fill */
            continue;
        }
        enum tls_result result = result_of(tls, returned);
        tls->in = SPAN_NONE;
        return result == TLS_MORE ? TLS_OK : result;
    }
    return TLS_OK;
}

/* Copies the next record's plaintext from iov into the loop's gather buffer. */
static size_t gather(struct loop *loop, const struct iovec *iov, int count, size_t offset)
{
    size_t len = 0;
    for (int i = 0; i != count && len != LOOP_GATHER_SIZE; ++i) {
        if (offset >= iov[i].iov_len) {
            offset -= iov[i].iov_len;
            continue;
        }
        size_t piece = iov[i].iov_len - offset;
        if (piece > LOOP_GATHER_SIZE - len)
            piece = LOOP_GATHER_SIZE - len;
        memcpy(loop->gather + len, (const char *)iov[i].iov_base + offset, piece);
        len += piece;
        offset = 0;
    }
    return len;
}

ssize_t tls_write(struct tls *tls, const struct iovec *iov, int count)
{
    size_t taken = 0;
    ERR_clear_error();
    while (taken < WRITE_AHEAD_MAX) {
        size_t len = gather(tls->loop, iov, count, taken);
        if (len == 0)
            break;
        size_t written = 0;
        if (SSL_write_ex(tls->ssl, tls->loop->gather, len, &written) != 1) {
            fail(tls);
            return -1;
        }
        taken += written;
    }
    return (ssize_t)taken;
}

void tls_close_notify(struct tls *tls)
{
    ERR_clear_error();
    if (SSL_is_init_finished(tls->ssl))
        SSL_shutdown(tls->ssl);
    ERR_clear_error();
}

void tls_release_buffers(struct tls *tls)
{
    SSL_free_buffers(tls->ssl);
}

bool tls_is_resumed(const struct tls *tls)
{
    return SSL_session_reused(tls->ssl) == 1;
}

const char *tls_error_text(const struct tls *tls)
{
    return tls->error;
}
