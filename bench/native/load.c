/* The load client: keep-alive connections in a closed loop, on one thread.
 *
 *   load -p port -c clients [-t seconds] [-e events] [-b bytes] [-s] request-file...
 *
 * Each client sends the request files in turn, each a whole HTTP/1.1 request, its next one when the last answer is
 * complete: until -t seconds are over (what is under way is finished), or once when -t is 0. An answer counts as an
 * error unless it is a 200 with at least -b bytes of body and, with -e, exactly that many `data:` lines and [DONE] at
 * its end. -s reads the time of writing that the mock upstream puts into each event. Prints one JSON object; times
 * are in microseconds. Exit status 1 when there was no answer at all.
 */
#define _GNU_SOURCE
#include "http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum { EVENTS_PER_WAIT = 512, TAIL = 64, ENOUGH_ERRORS = 20, STALLED_AFTER_MS = 30000, STAMP_AT = 22, STAMP_DIGITS = 19 };

struct samples {
    long long *values;
    size_t count, room;
};

struct request {
    const char *bytes;
    size_t size;
};

struct conn {
    int fd, next_request, head_done, status, watching_out;
    const char *out;
    size_t out_left;
    char head[HEAD_LIMIT + 1];
    size_t head_size;
    struct body body;
    long long began, first_byte, content;
    int data_lines, line_start;
    char tail[TAIL];
};

static struct { int port, clients, events, stamps; long long bytes; double seconds; } wanted;
static struct samples latency, first_byte, event_delay;
static struct request *all_requests;
static int request_count, running, poller;
static long long events_seen, content_seen, errors, deadline;
static char first_error[400];

static void keep(struct samples *s, long long value) {
    if (s->count == s->room) {
        s->room = s->room ? s->room * 2 : 4096;
        s->values = realloc(s->values, s->room * sizeof *s->values);
        if (!s->values) die("memory");
    }
    s->values[s->count++] = value;
}

static int ascending(const void *a, const void *b) {
    long long x = *(const long long *)a, y = *(const long long *)b;
    return (x > y) - (x < y);
}

static double part(const struct samples *s, double share) {
    if (!s->count) return 0;
    return (double)s->values[(size_t)(share * (double)(s->count - 1))] / 1000;
}

static void print_samples(const char *name, struct samples *s) {
    qsort(s->values, s->count, sizeof *s->values, ascending);
    printf(", \"%s\": {\"p50\": %.1f, \"p99\": %.1f, \"max\": %.1f}", name, part(s, .5), part(s, .99), part(s, 1));
}

static void complain(const char *what, const struct conn *c) {
    char shown[TAIL + 1];
    if (errors++) return;
    for (int i = 0; i < TAIL; i++) shown[i] = isprint((unsigned char)c->tail[i]) && !strchr("\"\\", c->tail[i]) ? c->tail[i] : ' ';
    shown[TAIL] = 0;
    snprintf(first_error, sizeof first_error, "%s (status %d, %lld bytes, %d data lines, ending: %s)", what, c->status,
             c->content, c->data_lines, shown);
}

static void watch(struct conn *c, int operation, int out) {
    struct epoll_event e = {.events = EPOLLIN | (out ? EPOLLOUT : 0), .data.ptr = c};
    c->watching_out = out;
    if (epoll_ctl(poller, operation, c->fd, &e)) die("epoll_ctl");
}

static int flush(struct conn *c) {
    while (c->out_left) {
        ssize_t sent = send(c->fd, c->out, c->out_left, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) {
            if (!c->watching_out) watch(c, EPOLL_CTL_MOD, 1);
            return 0;
        }
        if (sent < 0) return -1;
        c->out += sent;
        c->out_left -= (size_t)sent;
    }
    if (c->watching_out) watch(c, EPOLL_CTL_MOD, 0);
    return 0;
}

static void begin(struct conn *c) {
    const struct request *r = &all_requests[c->next_request++ % request_count];
    c->out = r->bytes;
    c->out_left = r->size;
    c->head_done = c->status = c->data_lines = 0;
    c->head_size = 0;
    c->first_byte = c->content = 0;
    c->line_start = 1;
    memset(c->tail, 0, TAIL);
    c->began = now_ns();
}

static void connect_to_target(struct conn *c) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)wanted.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0) die("socket");
    prepare_socket(c->fd);
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS) die("connect");
    watch(c, EPOLL_CTL_ADD, 1);
}

static void give_up(struct conn *c, const char *why) {
    complain(why, c);
    close(c->fd);
    running--;
}

/* The stamp stands at a fixed place of each event's line; an event cut by a read goes without a sample. */
static void read_stamp(const char *line, size_t count) {
    char digits[STAMP_DIGITS + 1] = "";
    if (count < STAMP_AT + STAMP_DIGITS || memcmp(line, "data: {\"id\":\"chatcmpl-", STAMP_AT)) return;
    memcpy(digits, line + STAMP_AT, STAMP_DIGITS);
    keep(&event_delay, now_ns() - atoll(digits));
}

static void count_lines(struct conn *c, const char *bytes, size_t count) {
    const char *end = bytes + count;
    for (const char *at = bytes; at < end;) {
        if (c->line_start && *at == 'd') {
            c->data_lines++;
            if (wanted.stamps) read_stamp(at, (size_t)(end - at));
        }
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        c->line_start = newline != NULL;
        at = newline ? newline + 1 : end;
    }
}

static void take_body(void *owner, const char *bytes, size_t count) {
    struct conn *c = owner;
    if (!c->content) c->first_byte = now_ns();
    c->content += (long long)count;
    if (wanted.events) count_lines(c, bytes, count);
    if (count < TAIL) {
        memmove(c->tail, c->tail + count, TAIL - count);
        memcpy(c->tail + TAIL - count, bytes, count);
    } else {
        memcpy(c->tail, bytes + count - TAIL, TAIL);
    }
}

static const char *fault(const struct conn *c) {
    if (c->status != 200) return "not a 200";
    if (c->content < wanted.bytes) return "a short body";
    if (!wanted.events) return NULL;
    if (!memmem(c->tail, TAIL, "data: [DONE]\n\n", 14)) return "a stream without [DONE]";
    return c->data_lines == wanted.events + 1 ? NULL : "a wrong number of events";
}

static void finish(struct conn *c) {
    long long now = now_ns();
    const char *why = fault(c);
    if (why) return give_up(c, why);
    keep(&latency, now - c->began);
    keep(&first_byte, c->first_byte - c->began);
    events_seen += c->data_lines;
    content_seen += c->content;
    if (now >= deadline) {
        close(c->fd);
        running--;
        return;
    }
    if (header(c->head, "\r\nconnection: close")) {
        close(c->fd);
        begin(c);
        connect_to_target(c);
        return;
    }
    begin(c);
    if (flush(c) < 0) give_up(c, "the connection broke while sending");
}

/* Returns how many of `bytes` belonged to the head. */
static size_t feed_head(struct conn *c, const char *bytes, size_t count) {
    size_t before = c->head_size, taken = count < HEAD_LIMIT - before ? count : HEAD_LIMIT - before;
    memcpy(c->head + before, bytes, taken);
    c->head_size = before + taken;
    c->head[c->head_size] = 0;
    char *end = strstr(c->head, "\r\n\r\n");
    if (!end) return taken;
    end[4] = 0;
    c->head_done = 1;
    c->head_size = (size_t)(end + 4 - c->head);
    c->status = atoi(c->head + 9);
    body_start(&c->body, c->head);
    return c->head_size - before;
}

static void receive(struct conn *c) {
    static char buffer[READ_SIZE];
    ssize_t count = recv(c->fd, buffer, sizeof buffer, 0);
    size_t at = 0;
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0) return give_up(c, "the connection ended early");
    if (!c->head_done) at = feed_head(c, buffer, (size_t)count);
    if (c->head_done) body_feed(&c->body, buffer + at, (size_t)count - at, take_body, c);
    if (c->head_done && c->body.state == FINISHED) finish(c);
    else if (c->head_size == HEAD_LIMIT) give_up(c, "a response head that is too long");
}

static void load_requests(char **names, int count) {
    all_requests = calloc((size_t)count, sizeof *all_requests);
    request_count = count;
    for (int i = 0; i < count; i++) {
        struct stat info;
        int fd = open(names[i], O_RDONLY);
        if (fd < 0 || fstat(fd, &info)) die(names[i]);
        all_requests[i].size = (size_t)info.st_size;
        all_requests[i].bytes = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (all_requests[i].bytes == MAP_FAILED) die(names[i]);
        close(fd);
    }
}

static int read_arguments(int argc, char **argv) {
    int option;
    while ((option = getopt(argc, argv, "p:c:t:e:b:s")) != -1) {
        if (option == 'p') wanted.port = atoi(optarg);
        else if (option == 'c') wanted.clients = atoi(optarg);
        else if (option == 't') wanted.seconds = atof(optarg);
        else if (option == 'e') wanted.events = atoi(optarg);
        else if (option == 'b') wanted.bytes = atoll(optarg);
        else if (option == 's') wanted.stamps = 1;
        else exit(2);
    }
    return optind;
}

static void serve(struct epoll_event *e) {
    struct conn *c = e->data.ptr;
    if ((e->events & EPOLLOUT) && flush(c) < 0) give_up(c, "the connection broke while sending");
    else if (e->events & (EPOLLIN | EPOLLERR | EPOLLHUP)) receive(c);
}

static void run(void) {
    struct epoll_event ready[EVENTS_PER_WAIT];
    while (running > 0 && errors < ENOUGH_ERRORS) {
        int count = epoll_wait(poller, ready, EVENTS_PER_WAIT, STALLED_AFTER_MS);
        if (count == 0) {
            if (!errors++) snprintf(first_error, sizeof first_error, "%d answers stalled for %d ms", running, STALLED_AFTER_MS);
            return;
        }
        for (int i = 0; i < count; i++) serve(&ready[i]);
    }
}

int main(int argc, char **argv) {
    int first = read_arguments(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    load_requests(argv + first, argc - first);
    poller = epoll_create1(0);
    long long start = now_ns();
    deadline = start + (long long)(wanted.seconds * 1e9);
    running = wanted.clients;
    for (int i = 0; i < wanted.clients; i++) {
        struct conn *c = calloc(1, sizeof *c);
        c->next_request = i;
        begin(c);
        connect_to_target(c);
    }
    run();
    printf("{\"requests\": %zu, \"errors\": %lld, \"first_error\": \"%s\", \"seconds\": %.6f, \"events\": %lld, \"bytes\": %lld",
           latency.count, errors, first_error, (double)(now_ns() - start) / 1e9, events_seen, content_seen);
    print_samples("latency", &latency);
    print_samples("first_byte", &first_byte);
    print_samples("event_delay", &event_delay);
    printf("}\n");
    return latency.count ? 0 : 1;
}
