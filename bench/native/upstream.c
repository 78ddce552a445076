/* The mock upstream: an OpenAI-compatible server that does nothing but answer, on one thread.
 *
 *   upstream [models]      prints "port N" and serves until it is killed; `models` is how many /models lists
 *
 * A POST is answered with 1 kB of JSON, or, when the first 2 KiB of its body hold `bench events=N pace=MS`, with a
 * stream of N events and [DONE]: one event every MS milliseconds, or, with pace=0, as fast as they are taken and ten
 * to a write (with one to a write this process, not the gateway, would be the bottleneck). Each event is a chunk.
 * Where those 2 KiB hold `include_usage` as well, one more event follows, with the usage.
 * Each event carries its time of writing (CLOCK_MONOTONIC, ns).
 * GET .../models lists models; GET .../file-N/content sends N bytes; GET /stats tells how many connections and
 * requests there were, itself not counted.
 */
#define _GNU_SOURCE
#include "http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>

enum { PROBE = 2048, EVENTS_PER_WAIT = 512, BURST = 10, EVENT_ROOM = 320 };

struct conn {
    int fd, counted, in_body;
    char head[HEAD_LIMIT + 1];
    size_t head_size;
    struct body body;
    char probe[PROBE + 1]; /* the beginning of the request's body, where the wish stands */
    size_t probe_size;

    const char *out; /* being sent; static, or `piece` */
    size_t out_left;
    long long filler_left; /* of a download */
    int events_left, events_open, pace_ms, tells_usage;
    char piece[(BURST + 1) * EVENT_ROOM + 64];
    long long due; /* paced streams only */
    struct conn *previous, *next;
    int queued, watching_out;
};

static char *models_answer, small_answer[2048], filler[256 * 1024];
static size_t models_size, small_size;
static long long connections, requests;
static int poller;

/* All paced streams of one run share a pace, so a queue in order of arrival is in order of time. */
static struct conn due_queue = {.previous = &due_queue, .next = &due_queue};

static const char stream_head[] =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n"
    "x-request-id: req_bench\r\ntransfer-encoding: chunked\r\n\r\n";
static const char event_form[] =
    "data: {\"id\":\"chatcmpl-%019lld\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,"
    "\"model\":\"bench\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" measured\"},\"finish_reason\":null}]}\n\n";
static const char usage_form[] =
    "data: {\"id\":\"chatcmpl-%019lld\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,"
    "\"model\":\"bench\",\"choices\":[],\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":200,\"total_tokens\":212}}\n\n";
static const char stream_end[] = "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n";

static void queue_remove(struct conn *c) {
    if (!c->queued) return;
    c->previous->next = c->next;
    c->next->previous = c->previous;
    c->queued = 0;
}

static void queue_append(struct conn *c) {
    c->due = now_ns() + c->pace_ms * 1000000LL;
    c->previous = due_queue.previous;
    c->next = &due_queue;
    due_queue.previous->next = c;
    due_queue.previous = c;
    c->queued = 1;
}

static void conn_close(struct conn *c) {
    queue_remove(c);
    close(c->fd);
    free(c);
}

static size_t answer_with(char *target, size_t room, const char *json, size_t size) {
    int head = snprintf(target, room, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_bench\r\n"
                                      "content-length: %zu\r\n\r\n", size);
    memcpy(target + head, json, size);
    return (size_t)head + size;
}

static void build_small_answer(void) {
    char json[1024];
    int size = snprintf(json, sizeof json,
        "{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion\",\"created\":1700000000,\"model\":\"bench\",\"choices\":"
        "[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"");
    for (; size < 850; size++) json[size] = size % 8 ? 'w' : ' ';
    size += snprintf(json + size, sizeof json - (size_t)size,
        "\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":200,\"total_tokens\":212}}");
    small_size = answer_with(small_answer, sizeof small_answer, json, (size_t)size);
}

static void build_models_answer(int count) {
    size_t room = 256 + (size_t)count * 128, size = 0;
    char *json = malloc(room);
    models_answer = malloc(room + 256);
    size += (size_t)sprintf(json, "{\"object\":\"list\",\"data\":[");
    for (int i = 0; i < count; i++)
        size += (size_t)sprintf(json + size, "%s{\"id\":\"model-%d\",\"object\":\"model\",\"created\":1700000000,\"owned_by\":\"bench\"}",
                                i ? "," : "", i);
    size += (size_t)sprintf(json + size, "]}");
    models_size = answer_with(models_answer, room + 256, json, size);
    free(json);
}

static void append_event(struct conn *c, const char *form) {
    char text[EVENT_ROOM];
    int size = sprintf(text, form, now_ns());
    c->out_left += (size_t)sprintf(c->piece + c->out_left, "%x\r\n%s\r\n", (unsigned)size, text);
}

static void next_events(struct conn *c, int count) {
    c->out = c->piece;
    for (; count-- && c->events_left; c->events_left--) append_event(c, event_form);
    if (c->events_left) return;
    if (c->tells_usage) append_event(c, usage_form);
    memcpy(c->piece + c->out_left, stream_end, sizeof stream_end - 1);
    c->out_left += sizeof stream_end - 1;
    c->events_open = 0;
}

/* Puts the next piece of the answer into `out`; 0 when nothing is to be written now. */
static int refill(struct conn *c) {
    if (c->filler_left) {
        c->out = filler;
        c->out_left = c->filler_left < (long long)sizeof filler ? (size_t)c->filler_left : sizeof filler;
        c->filler_left -= (long long)c->out_left;
        return 1;
    }
    if (!c->events_open) return 0;
    if (!c->pace_ms) return next_events(c, BURST), 1;
    if (!c->queued) queue_append(c);
    return 0;
}

static void watch_out(struct conn *c, int on) {
    struct epoll_event e = {.events = EPOLLIN | (on ? EPOLLOUT : 0), .data.ptr = c};
    if (c->watching_out == on) return;
    c->watching_out = on;
    epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &e);
}

/* Returns -1 when the peer is gone. */
static int flush(struct conn *c) {
    while (c->out_left || refill(c)) {
        ssize_t sent = send(c->fd, c->out, c->out_left, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno != EAGAIN) return -1;
            watch_out(c, 1);
            return 0;
        }
        c->out += sent;
        c->out_left -= (size_t)sent;
    }
    watch_out(c, 0);
    return 0;
}

static void answer_stats(struct conn *c) {
    char json[96];
    int size = sprintf(json, "{\"connections\":%lld,\"requests\":%lld}", connections, requests);
    c->out = c->piece;
    c->out_left = answer_with(c->piece, sizeof c->piece, json, (size_t)size);
}

static void answer_download(struct conn *c, const char *count) {
    c->filler_left = atoll(count);
    c->out = c->piece;
    c->out_left = (size_t)sprintf(c->piece, "HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length: %lld\r\n\r\n",
                                  c->filler_left);
}

static void answer_call(struct conn *c) {
    const char *wish = strstr(c->probe, "bench events=");
    c->out = small_answer;
    c->out_left = small_size;
    if (!wish || sscanf(wish, "bench events=%d pace=%d", &c->events_left, &c->pace_ms) != 2) return;
    c->events_open = 1;
    c->tells_usage = strstr(c->probe, "include_usage") != NULL;
    c->out = stream_head;
    c->out_left = sizeof stream_head - 1;
}

static void answer(struct conn *c) {
    const char *file = strstr(c->head, "/file-");
    if (!strncmp(c->head, "GET /stats ", 11)) return answer_stats(c);
    requests++;
    connections += !c->counted;
    c->counted = 1;
    if (!strncmp(c->head, "POST ", 5)) answer_call(c);
    else if (file) answer_download(c, file + 6);
    else c->out = models_answer, c->out_left = models_size;
}

static void take_body(void *owner, const char *bytes, size_t count) {
    struct conn *c = owner;
    size_t room = PROBE - c->probe_size;
    if (count > room) count = room;
    memcpy(c->probe + c->probe_size, bytes, count);
    c->probe_size += count;
    c->probe[c->probe_size] = 0;
}

static void begin_request(struct conn *c) {
    c->in_body = 0;
    c->head_size = c->probe_size = 0;
    c->probe[0] = 0;
}

/* Adds to the head; when it is whole, starts the body and returns how much of `bytes` the head took. */
static ssize_t feed_head(struct conn *c, const char *bytes, size_t count) {
    size_t before = c->head_size, part = count < HEAD_LIMIT - before ? count : HEAD_LIMIT - before;
    memcpy(c->head + before, bytes, part);
    c->head[before + part] = 0;
    char *end = strstr(c->head, "\r\n\r\n");
    c->head_size = before + part;
    if (!end) return c->head_size == HEAD_LIMIT ? -1 : (ssize_t)count;
    end[4] = 0;
    body_start(&c->body, c->head);
    c->in_body = 1;
    return (ssize_t)(end + 4 - c->head) - (ssize_t)before;
}

static int feed(struct conn *c, const char *bytes, size_t count) {
    while (count || (c->in_body && c->body.state == FINISHED)) {
        if (!c->in_body) {
            ssize_t used = feed_head(c, bytes, count);
            if (used < 0) return -1;
            bytes += used, count -= (size_t)used;
            continue;
        }
        size_t used = body_feed(&c->body, bytes, count, take_body, c);
        bytes += used, count -= used;
        if (c->body.state != FINISHED) continue;
        answer(c);
        begin_request(c);
        if (flush(c) < 0) return -1;
    }
    return 0;
}

static int receive(struct conn *c) {
    static char buffer[READ_SIZE];
    ssize_t count = recv(c->fd, buffer, sizeof buffer, 0);
    if (count > 0) return feed(c, buffer, (size_t)count);
    return count < 0 && errno == EAGAIN ? 0 : -1;
}

static void accept_all(int listener) {
    int fd;
    while ((fd = accept(listener, NULL, NULL)) >= 0) {
        struct conn *c = calloc(1, sizeof *c);
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
        prepare_socket(fd);
        c->fd = fd;
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e);
    }
}

static int until_due(void) {
    if (due_queue.next == &due_queue) return -1;
    long long wait = due_queue.next->due - now_ns();
    return wait <= 0 ? 0 : (int)((wait + 999999) / 1000000);
}

static void write_due(void) {
    for (struct conn *c = due_queue.next; c != &due_queue && c->due <= now_ns(); c = due_queue.next) {
        queue_remove(c);
        if (c->out_left) { /* a slow reader: its next event waits for the last one */
            queue_append(c);
            continue;
        }
        next_events(c, 1);
        if (flush(c) < 0) conn_close(c);
    }
}

static int listen_on_loopback(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    prepare_socket(fd);
    if (bind(fd, (struct sockaddr *)&address, size) || listen(fd, 4096)) die("listen");
    getsockname(fd, (struct sockaddr *)&address, &size);
    printf("port %d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

int main(int argc, char **argv) {
    struct epoll_event ready[EVENTS_PER_WAIT], e = {.events = EPOLLIN};
    signal(SIGPIPE, SIG_IGN);
    memset(filler, 'x', sizeof filler);
    build_small_answer();
    build_models_answer(argc > 1 ? atoi(argv[1]) : 100);
    int listener = listen_on_loopback();
    poller = epoll_create1(0);
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &e);
    for (;;) {
        int count = epoll_wait(poller, ready, EVENTS_PER_WAIT, until_due());
        for (int i = 0; i < count; i++) {
            struct conn *c = ready[i].data.ptr;
            if (!c) accept_all(listener);
            else if ((ready[i].events & (EPOLLERR | EPOLLHUP)) || ((ready[i].events & EPOLLIN) && receive(c) < 0)) conn_close(c);
            else if ((ready[i].events & EPOLLOUT) && flush(c) < 0) conn_close(c);
        }
        write_due();
    }
}
