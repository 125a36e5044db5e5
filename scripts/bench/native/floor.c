/* The floors of a common start: processes that are there before, each of which sleeps to one instant.

   floor PIN run NODES STARTS PROGRAM [ARGUMENT]...   ... and executes PROGRAM then        (floor A)
   floor PIN session NODES STARTS PROGRAM ...         ... each in a session of its own, as a step of the fabric is
   floor PIN stamp NODES STARTS                       ... and reads the clock then         (floor B)

   PIN is 1 to give each process a processor of its own, else 0.  Prints a line for each start: NODES
   instants of CLOCK_MONOTONIC in nanoseconds.  They are ordinary processes: no priority, no spinning.
   A start whose processes were not there in time is made anew, up to three times STARTS in all. */

#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LEAD_NS 20000000LL        /* to the instant, and */
#define LEAD_NODE_NS 1000000LL    /* as much for each process, so that all of them sleep before */
#define PAUSE_NS 5000000L         /* between two starts */

static long long now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void pin(int node)
{
    cpu_set_t all, one;
    CPU_ZERO(&one);
    if (sched_getaffinity(0, sizeof all, &all))
        die("sched_getaffinity");
    int wanted = node % CPU_COUNT(&all);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &all) && wanted-- == 0)
            CPU_SET(cpu, &one);
    if (sched_setaffinity(0, sizeof one, &one))
        die("sched_setaffinity");
}

static void node(long long t0_ns, char **program, int output, int apart)
{
    struct timespec at = {t0_ns / 1000000000LL, t0_ns % 1000000000LL};
    dup2(output, 1);
    if (apart && setsid() < 0) /* the kernel may then share processors out by session (sched_autogroup_enabled) */
        die("setsid");
    prctl(PR_SET_TIMERSLACK, 1UL);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL))
        ;
    if (program) {
        execv(program[0], program);
        die("exec");
    }
    char text[24];
    int size = snprintf(text, sizeof text, "%lld\n", now_ns());
    _exit(write(1, text, (size_t)size) != size);
}

int main(int count, char **words)
{
    if (count < 5)
        return 2;
    int pinned = atoi(words[1]), nodes = atoi(words[3]), starts = atoi(words[4]);
    int apart = !strcmp(words[2], "session");
    char **program = apart || !strcmp(words[2], "run") ? words + 5 : NULL;
    for (int start = 0, tries = 0; start < starts && tries < 4 * starts; tries++) {
        long long t0_ns = now_ns() + LEAD_NS + nodes * LEAD_NODE_NS;
        int *outputs = calloc((size_t)nodes, sizeof *outputs);
        for (int index = 0; index < nodes; index++) {
            int ends[2];
            if (pipe(ends))
                die("pipe");
            outputs[index] = ends[0];
            pid_t pid = fork();
            if (pid < 0)
                die("fork");
            if (!pid) {
                if (pinned)
                    pin(index);
                node(t0_ns, program, ends[1], apart);
            }
            close(ends[1]);
        }
        int late = now_ns() > t0_ns - LEAD_NS / 4;
        for (int index = 0; index < nodes; index++) {
            char text[64] = "";
            ssize_t size = read(outputs[index], text, sizeof text - 1);
            if (size <= 0)
                die("a program said nothing");
            if (!late)
                printf(index + 1 < nodes ? "%lld " : "%lld\n", atoll(text));
            close(outputs[index]);
        }
        start += !late;
        while (wait(NULL) > 0)
            ;
        free(outputs);
        struct timespec rest = {0, PAUSE_NS};
        nanosleep(&rest, NULL);
    }
    return 0;
}
