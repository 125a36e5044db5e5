/* A start by MPI: all ranks meet at a barrier, then each one starts PROGRAM.

   mpirun ... mpi_start STARTS PROGRAM

   Rank 0 prints a line for each start: what every rank's program printed, a number each. */

#include <mpi.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static long long start(char *program)
{
    int ends[2];
    pid_t pid;
    char *words[] = {program, NULL};
    char text[64] = "";
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    if (pipe(ends))
        return -1;
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    MPI_Barrier(MPI_COMM_WORLD);
    if (posix_spawn(&pid, program, &actions, NULL, words, environ))
        return -1;
    close(ends[1]);
    if (read(ends[0], text, sizeof text - 1) <= 0)
        return -1;
    close(ends[0]);
    waitpid(pid, NULL, 0);
    posix_spawn_file_actions_destroy(&actions);
    return atoll(text);
}

int main(int count, char **words)
{
    int rank, ranks;
    MPI_Init(&count, &words);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    long long *all = calloc((size_t)ranks, sizeof *all);
    for (int round = 0; round < atoi(words[1]); round++) {
        long long mine = start(words[2]);
        MPI_Gather(&mine, 1, MPI_LONG_LONG, all, 1, MPI_LONG_LONG, 0, MPI_COMM_WORLD);
        for (int index = 0; rank == 0 && index < ranks; index++)
            printf(index + 1 < ranks ? "%lld " : "%lld\n", all[index]);
        struct timespec rest = {0, 5000000};
        nanosleep(&rest, NULL);
    }
    MPI_Finalize();
    return 0;
}
