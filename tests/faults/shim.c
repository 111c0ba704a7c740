/* Makes one system call fail, for LD_PRELOAD. Calls on files below one folder are counted, from 1, once `fault_set` says which
   of them fails and how: an error number, or one of the kinds below. `fault_fired` names the call that did. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { SHORT = 1000, ZERO = 1001, SIGNAL = 2000, KILL_AFTER = 3000 };

static char folder[PATH_MAX];
static int kind;
static long at, is_lasting;
static atomic_long count;
static char *fired; /* shared with the parent process */

__attribute__((constructor)) static void prepare(void) {
    fired = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

void fault_set(const char *below, int new_kind, long new_at, int lasting) {
    strncpy(folder, below, sizeof folder - 1);
    kind = new_kind, at = new_at, is_lasting = lasting;
    atomic_store(&count, 0);
    fired[0] = 0;
}

const char *fault_fired(void) { return fired; }

static int is_below(const char *path) {
    size_t length = strlen(folder);
    return length && path && strncmp(path, folder, length) == 0 && (path[length] == '/' || !path[length]);
}

static int is_file_below(int descriptor) {
    char name[64], path[PATH_MAX];
    snprintf(name, sizeof name, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(name, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return is_below(path);
}

/* What this call does: 0 as always, -1 fails with errno, or SHORT, ZERO, KILL_AFTER. */
static int fault(const char *name, int is_counted) {
    if (!folder[0] || !is_counted) return 0;
    long number = atomic_fetch_add(&count, 1) + 1;
    if (number != at && !(is_lasting && number > at)) return 0;
    strncpy(fired, name, 63);
    if (kind >= KILL_AFTER) return kind;
    if (kind >= SIGNAL) {
        kill(getpid(), kind - SIGNAL);
        return 0;
    }
    if (kind >= SHORT) return kind;
    errno = kind;
    return -1;
}

#define REAL(type, name, ...) ((type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name))
#define DO(result, call)                              \
    result done = call;                               \
    if (what == KILL_AFTER) kill(getpid(), SIGKILL);  \
    return done

#define SIZED(name, buffer)                                                                       \
    ssize_t name(int descriptor, buffer data, size_t size) {                                      \
        int what = fault(#name, is_file_below(descriptor));                                       \
        if (what == -1) return -1;                                                                \
        if (what == ZERO) return 0;                                                               \
        if (what == SHORT && size > 1) size /= 2;                                                 \
        DO(ssize_t, REAL(ssize_t, #name, int, buffer, size_t)(descriptor, data, size));           \
    }
#define PLACED(name, buffer)                                                                      \
    ssize_t name(int descriptor, buffer data, size_t size, off_t offset) {                        \
        int what = fault(#name, is_file_below(descriptor));                                       \
        if (what == -1) return -1;                                                                \
        if (what == ZERO) return 0;                                                               \
        if (what == SHORT && size > 1) size /= 2;                                                 \
        DO(ssize_t, REAL(ssize_t, #name, int, buffer, size_t, off_t)(descriptor, data, size, offset)); \
    }
#define VECTOR(name)                                                                              \
    ssize_t name(int descriptor, const struct iovec *data, int parts, off_t offset) {             \
        int what = fault(#name, is_file_below(descriptor));                                       \
        if (what == -1) return -1;                                                                \
        if (what == ZERO) return 0;                                                               \
        struct iovec half = *data;                                                                \
        if (what == SHORT && half.iov_len > 1) half.iov_len /= 2, data = &half, parts = 1;        \
        DO(ssize_t, REAL(ssize_t, #name, int, const struct iovec *, int, off_t)(descriptor, data, parts, offset)); \
    }
#define OPEN(name)                                                                                \
    int name(const char *path, int flags, ...) {                                                  \
        va_list more;                                                                             \
        va_start(more, flags);                                                                    \
        mode_t mode = va_arg(more, mode_t);                                                       \
        va_end(more);                                                                             \
        int what = fault(#name, is_below(path));                                                  \
        if (what == -1) return -1;                                                                \
        DO(int, REAL(int, #name, const char *, int, ...)(path, flags, mode));                     \
    }
#define ON_FILE(name)                                                                             \
    int name(int descriptor) {                                                                    \
        int what = fault(#name, is_file_below(descriptor));                                       \
        if (what == -1) return -1;                                                                \
        DO(int, REAL(int, #name, int)(descriptor));                                               \
    }
#define ON_PATH(name)                                                                             \
    int name(const char *path) {                                                                  \
        int what = fault(#name, is_below(path));                                                  \
        if (what == -1) return -1;                                                                \
        DO(int, REAL(int, #name, const char *)(path));                                            \
    }
#define ON_PATHS(name)                                                                            \
    int name(const char *one, const char *other) {                                                \
        int what = fault(#name, is_below(one) || is_below(other));                                \
        if (what == -1) return -1;                                                                \
        DO(int, REAL(int, #name, const char *, const char *)(one, other));                        \
    }
#define SIZING(name)                                                                              \
    int name(int descriptor, off_t size) {                                                        \
        int what = fault(#name, is_file_below(descriptor));                                       \
        if (what == -1) return -1;                                                                \
        DO(int, REAL(int, #name, int, off_t)(descriptor, size));                                  \
    }

SIZED(read, void *)
SIZED(write, const void *)
PLACED(pread64, void *)
PLACED(pwrite64, const void *)
PLACED(pread, void *)
PLACED(pwrite, const void *)
VECTOR(preadv64)
VECTOR(preadv)
OPEN(open)
OPEN(open64)
ON_FILE(fsync)
ON_FILE(close)
ON_PATH(unlink)
ON_PATH(rmdir)
ON_PATHS(link)
ON_PATHS(rename)
SIZING(ftruncate)
SIZING(ftruncate64)

int mkdir(const char *path, mode_t mode) {
    int what = fault("mkdir", is_below(path));
    if (what == -1) return -1;
    DO(int, REAL(int, "mkdir", const char *, mode_t)(path, mode));
}

int fchmod(int descriptor, mode_t mode) {
    int what = fault("fchmod", is_file_below(descriptor));
    if (what == -1) return -1;
    DO(int, REAL(int, "fchmod", int, mode_t)(descriptor, mode));
}

int linkat(int from, const char *one, int to, const char *other, int flags) {
    int what = fault("linkat", is_below(one) || is_below(other));
    if (what == -1) return -1;
    DO(int, REAL(int, "linkat", int, const char *, int, const char *, int)(from, one, to, other, flags));
}

int renameat2(int from, const char *one, int to, const char *other, unsigned int flags) {
    int what = fault("renameat2", is_below(one) || is_below(other));
    if (what == -1) return -1;
    DO(int, REAL(int, "renameat2", int, const char *, int, const char *, unsigned int)(from, one, to, other, flags));
}
