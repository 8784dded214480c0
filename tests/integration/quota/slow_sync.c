/* Preloaded into a program, this makes its syncs take as long as those of a very busy disk. */

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int slow(long call, int file) {
    struct timespec pause = {0, 700000000};
    nanosleep(&pause, 0);
    return syscall(call, file);
}

int fdatasync(int file) { return slow(SYS_fdatasync, file); }

int fsync(int file) { return slow(SYS_fsync, file); }
