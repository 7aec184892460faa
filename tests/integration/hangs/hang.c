/* Hangs whoever opens or looks at a path that begins with one of the lines of the file that HANG names, or asks the name
 * service for a user if there is a line "getpwuid". The file may change at any time; without it nothing hangs. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static char list[4096];

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("HANG");

    if (!path || strlen(path) >= sizeof list)
        abort();
    strcpy(list, path);
    unsetenv("LD_PRELOAD");
}

static void hang(const char *what)
{
    char text[4096];
    int file = (int)syscall(SYS_openat, AT_FDCWD, list, O_RDONLY | O_CLOEXEC);
    ssize_t length = file < 0 ? 0 : read(file, text, sizeof text - 1);

    if (file >= 0)
        close(file);
    text[length > 0 ? length : 0] = 0;
    for (char *line = strtok(text, "\n"); what && line; line = strtok(NULL, "\n"))
        while (strncmp(what, line, strlen(line)) == 0)
            pause();
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int open64(const char *path, int flags, ...)
{
    va_list rest;
    mode_t mode;

    va_start(rest, flags);
    mode = (flags & (O_CREAT | __O_TMPFILE)) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    hang(path);
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int statx(int at, const char *restrict path, int flags, unsigned mask, struct statx *restrict found)
{
    hang(path);
    return (int)syscall(SYS_statx, at, path, flags, mask, found);
}

int stat64(const char *restrict path, struct stat64 *restrict found)
{
    hang(path);
    return NEXT(stat64)(path, found);
}

DIR *opendir(const char *path)
{
    hang(path);
    return NEXT(opendir)(path);
}

int getpwuid_r(uid_t user, struct passwd *restrict entry, char *restrict buffer, size_t size,
               struct passwd **restrict found)
{
    hang("getpwuid");
    return NEXT(getpwuid_r)(user, entry, buffer, size, found);
}
