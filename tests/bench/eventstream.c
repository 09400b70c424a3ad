/* Measures how fast event streams are decoded: one core, messages of the given size, read in
 * blocks of 64 KiB. Prints GiB/s of payload. Built and run by tests/bench/streams. */
#include "aws/eventstream.h"
#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

enum { READ_SIZE = 64 * 1024, STREAM_SIZE = 64 * 1024 * 1024, ROUNDS = 16 };

static void put_u32(char *at, uint32_t value)
{
    for (int i = 0; i != 4; ++i)
        at[i] = (char)(value >> (24 - 8 * i));
}

static size_t put_header(char *at, const char *name, const char *value)
{
    size_t name_len = strlen(name), len = strlen(value);
    at[0] = (char)name_len;
    memcpy(at + 1, name, name_len);
    at[1 + name_len] = 7;
    at[2 + name_len] = 0;
    at[3 + name_len] = (char)len;
    memcpy(at + 4 + name_len, value, len);
    return 4 + name_len + len;
}

static size_t put_message(char *at, size_t payload)
{
    size_t headers = put_header(at + 12, ":event-type", "PayloadPart");
    headers += put_header(at + 12 + headers, ":content-type", "application/octet-stream");
    headers += put_header(at + 12 + headers, ":message-type", "event");
    size_t total = 16 + headers + payload;
    put_u32(at, (uint32_t)total);
    put_u32(at + 4, (uint32_t)headers);
    put_u32(at + 8, (uint32_t)crc32(0, (const unsigned char *)at, 8));
    memset(at + 12 + headers, 'x', payload);
    put_u32(at + total - 4, (uint32_t)crc32(0, (const unsigned char *)at, (unsigned)total - 4));
    return total;
}

static uint64_t decode(struct span stream)
{
    struct eventstream decoder;
    struct eventstream_message message;
    uint64_t bytes = 0;
    eventstream_init(&decoder, EVENTSTREAM_MESSAGE_MAX);
    while (stream.len != 0) {
        struct span piece = span_make(stream.at, stream.len < READ_SIZE ? stream.len : READ_SIZE);
        stream = span_from_offset(stream, piece.len);
        while (eventstream_next(&decoder, &piece, &message) == EVENTSTREAM_MESSAGE)
            bytes += message.payload.len;
    }
    eventstream_dispose(&decoder);
    return bytes;
}

int main(int argc, char **argv)
{
    size_t payload = argc > 1 ? strtoul(argv[1], NULL, 10) : 4096, len = 0;
    char *stream = malloc(STREAM_SIZE + payload + 256);
    double best = 0;
    while (stream != NULL && len < STREAM_SIZE)
        len += put_message(stream + len, payload);
    for (int i = 0; i != ROUNDS; ++i) {
        struct mono_time before = clock_mono();
        uint64_t bytes = decode(span_make(stream, len));
        double speed =
            (double)bytes / (double)clock_us_between(before, clock_mono()) * 1e6 / (1 << 30);
        best = speed > best ? speed : best;
    }
    printf("%.2f\n", best);
    free(stream);
    return 0;
}
