/*
 * What a look at every file of many trees costs at the least: `lstat N DIR...` lists each directory once and
 * asks for the status of each file once, relative to its open directory, with N threads, and does nothing else.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char **tops;
static int count;
static atomic_int next;
static atomic_long files, dirs;

static void walk(int fd) {
    DIR *dir = fdopendir(fd);
    struct dirent *entry;
    while ((entry = readdir(dir))) {
        const char *name = entry->d_name;
        if (!strcmp(name, ".") || !strcmp(name, "..") || !strcmp(name, ".git")) continue;
        if (entry->d_type == DT_DIR) {
            int child = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            dirs++;
            if (child >= 0) walk(child);
        } else {
            struct stat status;
            if (!fstatat(fd, name, &status, AT_SYMLINK_NOFOLLOW)) files++;
        }
    }
    closedir(dir);
}

static void *work(void *unused) {
    int place;
    while ((place = next++) < count) {
        int fd = open(tops[place], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0) walk(fd);
    }
    return unused;
}

int main(int argc, char **argv) {
    int threads = argc > 2 ? atoi(argv[1]) : 0;
    if (threads < 1 || threads > 64) { fprintf(stderr, "usage: lstat 1..64 DIR...\n"); return 2; }
    tops = argv + 2, count = argc - 2;
    pthread_t thread[64];
    for (int i = 0; i < threads; i++) pthread_create(&thread[i], 0, work, 0);
    for (int i = 0; i < threads; i++) pthread_join(thread[i], 0);
    printf("%ld files in %ld directories\n", files, dirs);
    return 0;
}
