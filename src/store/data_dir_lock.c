/* One process per data_dir: an flock on data_dir/weir.lock, which the system lets go of however the process ends. The file stays; its text
 * is the pid of the last holder, for the message that the second one gets. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "store/store_internal.h"

/* mkdir -p; an existing directory is fine. */
static bool make_directory(const char *path)
{
    char *prefix = memory_copy_text(path, strlen(path));
    bool is_made = true;
    for (char *end = prefix; is_made && end;) {
        end = strchr(end + 1, '/');
        if (end)
            *end = '\0';
        is_made = mkdir(prefix, 0700) == 0 || errno == EEXIST || (end && errno == EROFS);
        if (end)
            *end = '/';
    }
    free(prefix);
    return is_made;
}

static long read_holder(int descriptor)
{
    char text[32] = "";
    ssize_t size = pread(descriptor, text, sizeof text - 1, 0);
    return size > 0 ? strtol(text, NULL, 10) : 0;
}

static void write_holder(int descriptor)
{
    char text[32];
    int size = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(descriptor, 0) != 0 || pwrite(descriptor, text, (size_t)size, 0) != size)
        return; /* on a full disk the lock holds all the same, only the message of the second process is poorer */
}

enum status data_dir_lock(const char *data_dir, int *descriptor, struct error *error)
{
    *descriptor = -1;
    if (!*data_dir || !make_directory(data_dir)) {
        error_set(error, "data_dir \"%s\" cannot be created: %s; choose a directory that can be written to",
                  data_dir, *data_dir ? strerror(errno) : "the name is empty");
        return STATUS_IO;
    }
    struct buffer path = {0};
    buffer_format(&path, "%s/weir.lock", data_dir);
    buffer_append_char(&path, '\0');
    int lock = open(path.data, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    enum status status = STATUS_OK;
    if (lock < 0) {
        error_set(error, "%s cannot be opened: %s; data_dir must be a directory that can be written to",
                  path.data, strerror(errno));
        status = STATUS_IO;
    } else if (flock(lock, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK) {
            error_set(error, "data_dir \"%s\" is in use by process %ld; stop it, or choose another data_dir",
                      data_dir, read_holder(lock));
            status = STATUS_BUSY;
        } else {
            error_set(error, "%s cannot be locked: %s", path.data, strerror(errno));
            status = STATUS_IO;
        }
    }
    buffer_deinit(&path);
    if (status != STATUS_OK) {
        if (lock >= 0)
            close(lock);
        return status;
    }
    write_holder(lock);
    *descriptor = lock;
    return STATUS_OK;
}
