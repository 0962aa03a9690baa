/*
 * What a durable delivery costs at the least: one message from standard input into DIR/new, by a C program
 * that does nothing else. `floor classic DIR` is fsync(file), rename, fsync(dir); `floor onecommit DIR` is
 * rename, fsync(file), fsync(dir), which a journal answers with one commit.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void die(const char *what) { perror(what); exit(1); }

int main(int argc, char **argv) {
    static char body[1 << 20];
    if (argc != 3) { fprintf(stderr, "usage: floor classic|onecommit DIR\n"); return 2; }
    int classic = strcmp(argv[1], "classic") == 0;
    size_t size = 0;
    ssize_t got;
    while ((got = read(0, body + size, sizeof body - size)) > 0) size += (size_t)got;

    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    char name[64];
    snprintf(name, sizeof name, "%lx.%lx.%x", (long)now.tv_sec, now.tv_nsec, (unsigned)getpid());

    int dir = open(argv[2], O_RDONLY | O_DIRECTORY);
    if (dir < 0) die("open directory");
    int tmp = openat(dir, "tmp", O_RDONLY | O_DIRECTORY), new = openat(dir, "new", O_RDONLY | O_DIRECTORY);
    if (tmp < 0 || new < 0) die("open tmp, new");
    int file = openat(tmp, name, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (file < 0) die("create");
    if (write(file, body, size) != (ssize_t)size) die("write");
    if (classic && fsync(file)) die("fsync");
    if (renameat(tmp, name, new, name)) die("rename");
    if (!classic && fsync(file)) die("fsync");
    if (fsync(new)) die("fsync directory");
    if (close(file)) die("close");
    return 0;
}
