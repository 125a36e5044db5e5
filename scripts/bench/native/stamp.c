/* Prints CLOCK_MONOTONIC in nanoseconds as early as it can, and ends.

   Built twice: with -DBARE it has no C library start-up, so the clock is read in its very first instructions
   (-static -nostartfiles); without, as any other program, after the dynamic linker and before the rest of main. */

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long long now_ns(void)
{
    struct timespec now;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void say(long long number)
{
    char text[24];
    char *at = text + sizeof text;
    *--at = '\n';
    do {
        *--at = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    syscall(SYS_write, 1, at, text + sizeof text - at);
}

#ifdef BARE
#ifdef __x86_64__
__attribute__((force_align_arg_pointer))
#endif
void _start(void)
{
    say(now_ns());
    syscall(SYS_exit_group, 0);
    __builtin_unreachable();
}
#else
int main(void)
{
    say(now_ns());
    return 0;
}
#endif
