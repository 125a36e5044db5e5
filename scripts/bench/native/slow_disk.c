/* A slow disk, for LD_PRELOAD: each fdatasync and fsync takes SLOW_DISK_MS longer, and one after the other. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

static pthread_mutex_t disk = PTHREAD_MUTEX_INITIALIZER;

static int after_a_while(const char *name, int fd)
{
    const char *told = getenv("SLOW_DISK_MS");
    long ms = told ? atol(told) : 0;
    struct timespec pause = {ms / 1000, ms % 1000 * 1000000};
    int (*sync)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);

    pthread_mutex_lock(&disk);
    nanosleep(&pause, NULL);
    pthread_mutex_unlock(&disk);
    return sync(fd);
}

int fdatasync(int fd)
{
    return after_a_while("fdatasync", fd);
}

int fsync(int fd)
{
    return after_a_while("fsync", fd);
}
