/* What the mock upstream and the load client share: just enough HTTP/1.1 to read one message, and the clock. */
#ifndef BENCH_HTTP_H
#define BENCH_HTTP_H

#include <ctype.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HEAD_LIMIT = 32 * 1024, READ_SIZE = 256 * 1024 };

/* A body with a length, or a chunked one. `left` counts down within the body, or within the current chunk. */
struct body {
    long long left;
    enum { BY_LENGTH, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILER, FINISHED } state;
    int line_length; /* of the trailer line being read: an empty one ends the body */
};

typedef void (*take_fn)(void *owner, const char *bytes, size_t count);

static inline long long now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static inline void die(const char *what) {
    perror(what);
    exit(1);
}

static inline void prepare_socket(int fd) {
    int on = 1;
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

/* The value of a header within a head that ends in a blank line, or NULL. The name is given as "\r\nname:". */
static inline const char *header(const char *head, const char *name) {
    const char *found = strcasestr(head, name);
    if (!found) return NULL;
    for (found += strlen(name); *found == ' ';) found++;
    return found;
}

static inline void body_start(struct body *body, const char *head) {
    const char *length = header(head, "\r\ncontent-length:");
    const char *coding = header(head, "\r\ntransfer-encoding:");
    memset(body, 0, sizeof *body);
    if (coding && !strncasecmp(coding, "chunked", 7)) body->state = CHUNK_SIZE;
    else body->left = length ? atoll(length) : 0;
    if (body->state == BY_LENGTH && body->left == 0) body->state = FINISHED;
}

static inline void chunk_framing(struct body *body, char c) {
    if (body->state == CHUNK_SIZE) {
        if (isxdigit((unsigned char)c)) body->left = body->left * 16 + (isdigit((unsigned char)c) ? c - '0' : (c | 32) - 'a' + 10);
        else if (c == '\n') body->state = body->left ? CHUNK_DATA : TRAILER;
    } else if (body->state == CHUNK_END) {
        if (c == '\n') body->state = CHUNK_SIZE;
    } else if (c == '\n') {
        if (!body->line_length) body->state = FINISHED;
        body->line_length = 0;
    } else if (c != '\r') {
        body->line_length++;
    }
}

/* Hands the content within `bytes` to `take` and returns how many bytes belonged to this body. */
static inline size_t body_feed(struct body *body, const char *bytes, size_t count, take_fn take, void *owner) {
    size_t at = 0;
    while (at < count && body->state != FINISHED) {
        if (body->state != BY_LENGTH && body->state != CHUNK_DATA) {
            chunk_framing(body, bytes[at++]);
            continue;
        }
        size_t part = count - at;
        if ((long long)part > body->left) part = (size_t)body->left;
        take(owner, bytes + at, part);
        at += part;
        body->left -= (long long)part;
        if (!body->left) body->state = body->state == BY_LENGTH ? FINISHED : CHUNK_END;
    }
    return at;
}

#endif
