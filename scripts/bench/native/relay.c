/* Carries TCP connections over links that have a delay.

   relay FILE     FILE has a line for each listener:
                  LISTEN_IP LISTEN_PORT TARGET_IP TARGET_PORT FORTH_US BACK_US JITTER_US

   What comes in is passed on after FORTH_US (towards the target) or BACK_US, plus anything up to JITTER_US,
   in order.  Setting a connection up takes no time.  Says "ready" on stdout, ends when stdin does. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FDS 4096
#define HELD (4 << 20) /* bytes under way in one direction, then no more is read */
#define PIECE (64 << 10)

struct piece {
    struct piece *next;
    long long due_ns;
    size_t size, done; /* size 0: the end of the stream */
    char data[];
};

struct way { /* one direction of a connection, by the descriptor that it reads */
    int from, to, open, blocked, ended;
    long long delay_ns, jitter_ns, last_ns;
    size_t held;
    struct piece *head, **tail;
};

struct listener {
    int fd;
    struct sockaddr_in target;
    long long forth_ns, back_ns, jitter_ns;
};

static struct way ways[FDS];
static struct listener listeners[FDS];
static int epoll, highest;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static long long now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static long long random_below(long long limit)
{
    static unsigned long long state = 88172645463325252ULL;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return limit > 0 ? (long long)(state % (unsigned long long)limit) : 0;
}

static void watch(int fd, int operation)
{
    struct way *in = &ways[fd], *out = &ways[in->to];
    struct epoll_event wanted = {.data.fd = fd};
    if (!in->ended && in->held < HELD)
        wanted.events |= EPOLLIN;
    if (out->blocked)
        wanted.events |= EPOLLOUT;
    if (epoll_ctl(epoll, operation, fd, &wanted) && errno != ENOENT)
        die("epoll_ctl");
}

static void open_way(int from, int to, long long delay_ns, long long jitter_ns)
{
    struct way *way = &ways[from];
    int yes = 1;
    setsockopt(from, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    *way = (struct way){.from = from, .to = to, .open = 1, .delay_ns = delay_ns, .jitter_ns = jitter_ns};
    way->tail = &way->head;
    if (from > highest)
        highest = from;
}

static void close_way(struct way *way)
{
    while (way->head) {
        struct piece *piece = way->head;
        way->head = piece->next;
        free(piece);
    }
    way->open = way->blocked = 0;
    close(way->from);
}

static void close_link(int fd)
{
    int other = ways[fd].to;
    close_way(&ways[fd]);
    close_way(&ways[other]);
}

static void take_connection(struct listener *listener)
{
    int near = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
    int far = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (near < 0 || far < 0)
        die("accept");
    if (near >= FDS || far >= FDS || connect(far, (struct sockaddr *)&listener->target, sizeof listener->target)) {
        close(near);
        close(far);
        return;
    }
    open_way(near, far, listener->forth_ns, listener->jitter_ns);
    open_way(far, near, listener->back_ns, listener->jitter_ns);
    watch(near, EPOLL_CTL_ADD);
    watch(far, EPOLL_CTL_ADD);
}

static int take_bytes(struct way *way)
{
    struct piece *piece = malloc(sizeof *piece + PIECE);
    ssize_t size = recv(way->from, piece->data, PIECE, MSG_DONTWAIT);
    if (size < 0) {
        free(piece);
        return -1;
    }
    piece = realloc(piece, sizeof *piece + (size_t)size); /* many small ones are under way at a time */
    *piece = (struct piece){.size = (size_t)size};
    piece->due_ns = now_ns() + way->delay_ns + random_below(way->jitter_ns);
    if (piece->due_ns < way->last_ns)
        piece->due_ns = way->last_ns;
    way->last_ns = piece->due_ns;
    way->held += piece->size;
    way->ended = size == 0;
    *way->tail = piece;
    way->tail = &piece->next;
    watch(way->from, EPOLL_CTL_MOD);
    return 0;
}

static int pass_on(struct way *way, long long until_ns)
{
    int was_full = way->held >= HELD, was_blocked = way->blocked;
    way->blocked = 0;
    while (way->head && way->head->due_ns <= until_ns) {
        struct piece *piece = way->head;
        if (piece->size == 0) {
            shutdown(way->to, SHUT_WR);
        } else {
            ssize_t sent = send(way->to, piece->data + piece->done, piece->size - piece->done,
                                MSG_DONTWAIT | MSG_NOSIGNAL);
            if (sent < 0 && errno == EAGAIN && (way->blocked = 1))
                break;
            if (sent < 0) /* nobody reads it any more */
                sent = (ssize_t)(piece->size - piece->done);
            piece->done += (size_t)sent;
            way->held -= (size_t)sent;
            if (piece->done < piece->size)
                continue;
        }
        way->head = piece->next;
        if (!way->head)
            way->tail = &way->head;
        free(piece);
    }
    if (was_full && way->held < HELD)
        watch(way->from, EPOLL_CTL_MOD);
    if (was_blocked != way->blocked)
        watch(way->to, EPOLL_CTL_MOD);
    return way->ended && !way->head;
}

static long long pass_all_on(void) /* returns when something is due next, 0: nothing is */
{
    long long next_ns = 0, at_ns = now_ns();
    for (int fd = 0; fd <= highest; fd++) {
        struct way *way = &ways[fd];
        if (!way->open)
            continue;
        if (way->head && way->head->due_ns <= at_ns && !way->blocked && pass_on(way, at_ns)
            && ways[way->to].ended && !ways[way->to].head) {
            close_link(fd);
            continue;
        }
        if (way->head && !way->blocked && (!next_ns || way->head->due_ns < next_ns))
            next_ns = way->head->due_ns;
    }
    return next_ns;
}

static void add_listener(const char *line)
{
    char ip[64], target[64];
    int port, target_port, yes = 1;
    long long forth_us, back_us, jitter_us;
    if (sscanf(line, "%63s %d %63s %d %lld %lld %lld", ip, &port, target, &target_port, &forth_us, &back_us,
               &jitter_us) != 7)
        return;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct epoll_event wanted = {.events = EPOLLIN, .data.fd = fd};
    if (fd < 0 || fd >= FDS)
        die("socket");
    struct listener *listener = &listeners[fd];
    listener->fd = fd;
    listener->target = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)target_port)};
    listener->forth_ns = forth_us * 1000;
    listener->back_ns = back_us * 1000;
    listener->jitter_ns = jitter_us * 1000;
    inet_pton(AF_INET, ip, &own.sin_addr);
    inet_pton(AF_INET, target, &listener->target.sin_addr);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(fd, (struct sockaddr *)&own, sizeof own) || listen(fd, 64))
        die(line);
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &wanted))
        die("epoll_ctl");
}

int main(int count, char **words)
{
    char line[256];
    FILE *rules = count > 1 ? fopen(words[1], "r") : NULL;
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!rules || epoll < 0)
        die("relay FILE");
    prctl(PR_SET_TIMERSLACK, 1UL);
    while (fgets(line, sizeof line, rules))
        add_listener(line);
    struct epoll_event lifeline = {.events = EPOLLIN, .data.fd = 0};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, 0, &lifeline))
        die("stdin cannot be watched");
    puts("ready");
    fflush(stdout);
    for (;;) {
        struct epoll_event came[64];
        long long wait_ns = pass_all_on();
        struct timespec patience = {0, 0};
        if (wait_ns && (wait_ns -= now_ns()) > 0)
            patience = (struct timespec){wait_ns / 1000000000LL, wait_ns % 1000000000LL};
        int found = epoll_pwait2(epoll, came, 64, wait_ns ? &patience : NULL, NULL);
        for (int index = 0; index < found; index++) {
            int fd = came[index].data.fd;
            struct way *way = &ways[fd];
            if (fd == 0)
                return 0;
            if (listeners[fd].fd == fd) {
                take_connection(&listeners[fd]);
                continue;
            }
            if (!way->open)
                continue; /* its link was closed in this turn */
            int broken = came[index].events & EPOLLERR;
            if (came[index].events & EPOLLIN && !way->ended && take_bytes(way))
                broken = 1;
            if (came[index].events & EPOLLHUP && way->ended) /* it would be said again and again */
                epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL);
            if (came[index].events & EPOLLOUT)
                pass_on(&ways[way->to], now_ns());
            if (broken)
                close_link(fd);
        }
    }
}
