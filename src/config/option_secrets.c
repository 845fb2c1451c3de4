/* `password_file` and its like: the secret is in a file of its own, so that the config can be shown to anybody. The file is
 * read when the config is, because a secret that is not there is better missed at once than at the first connection. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/options.h"

/* The row's own name without `_file`: the key that holds the secret itself. */
static const char *plain_name(struct loader *loader, const struct option *option)
{
    const char *name = option_name(option);
    return arena_copy(loader->arena, (struct slice){name, strlen(name) - strlen("_file")}).data;
}

/* Bytes read, or -1 with errno. More than `capacity - 1` are as many as fit. */
static ssize_t read_small_file(const char *path, char *out, size_t capacity)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0)
        return -1;
    struct stat found;
    ssize_t got = 1;
    size_t size = 0;
    if (fstat(descriptor, &found) != 0 || !S_ISREG(found.st_mode)) {
        errno = S_ISDIR(found.st_mode) ? EISDIR : EINVAL;
        got = -1;
    }
    while (got > 0 && size < capacity) {
        got = read(descriptor, out + size, capacity - size);
        size += got > 0 ? (size_t)got : 0;
    }
    int reason = errno;
    close(descriptor);
    errno = reason;
    return got < 0 ? -1 : (ssize_t)size;
}

void parse_secret_file(struct loader *loader, const struct option *option, const struct node *node,
                       void *owner)
{
    const char *path = value_text(loader, option, node), *plain = plain_name(loader, option);
    if (!path)
        return;
    if (node->parent && node_find(node->parent, plain)) {
        value_problem(loader, node, "`%s` is given as well; keep one of the two", plain);
        return;
    }
    char *text = arena_allocate(loader->arena, CONFIG_MAX_SECRET_SIZE + 1);
    ssize_t size = read_small_file(path, text, CONFIG_MAX_SECRET_SIZE + 1);
    if (size < 0) {
        value_problem(loader, node, "`%s` cannot be read: %s; give the path of a file that holds only the %s",
                      path, strerror(errno), plain);
        return;
    }
    if (size > CONFIG_MAX_SECRET_SIZE) {
        value_problem(loader, node, "`%s` is larger than %d KiB; give a file that holds only the %s", path,
                      CONFIG_MAX_SECRET_SIZE / 1024, plain);
        return;
    }
    if (size > 0 && text[size - 1] == '\n')
        size -= 1 + (size > 1 && text[size - 2] == '\r');
    if (size == 0 || memchr(text, '\0', (size_t)size)) {
        value_problem(loader, node, "`%s` %s; write the %s into it as one line", path,
                      size == 0 ? "is empty" : "is no text", plain);
        return;
    }
    text[size] = '\0';
    *(const char **)((char *)owner + option->offset) = text;
}
