/* Runs every file of the folders or files named on the command line through a fuzz target, once each.
 * It stands in for libFuzzer's driver, so that the corpora are ordinary tests in every build and with
 * every compiler. An empty or missing corpus is a failure: a test that replayed nothing proved nothing. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { REPLAY_PATH_SIZE_MAX = 4096 };

static size_t replayed_count;

static void fail(const char *path, const char *reason)
{
    fprintf(stderr, "replay: %s: %s\n", path, reason);
    exit(1);
}

static void replay_file(const char *path, size_t size)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        fail(path, "cannot be opened");
    /* Exactly `size` bytes on the heap, so that AddressSanitizer sees a read behind the input. */
    uint8_t *data = malloc(size == 0 ? 1 : size);
    if (data == NULL || fread(data, 1, size, file) != size)
        fail(path, "cannot be read");
    fclose(file);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    replayed_count++;
}

static void replay_path(const char *path)
{
    struct stat info;
    if (stat(path, &info) != 0)
        fail(path, "does not exist");
    if (!S_ISDIR(info.st_mode)) {
        replay_file(path, (size_t)info.st_size);
        return;
    }
    struct dirent **entries = NULL;
    int entry_count = scandir(path, &entries, NULL, alphasort);
    if (entry_count < 0)
        fail(path, "cannot be listed");
    for (int i = 0; i < entry_count; i++) {
        char child[REPLAY_PATH_SIZE_MAX];
        int length = snprintf(child, sizeof child, "%s/%s", path, entries[i]->d_name);
        if (length < 0 || (size_t)length >= sizeof child)
            fail(path, "holds a name that is too long");
        if (entries[i]->d_name[0] != '.')
            replay_path(child);
        free(entries[i]);
    }
    free(entries);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        replay_path(argv[i]);
    if (replayed_count == 0)
        fail(argc > 1 ? argv[1] : "(no argument)", "holds no input to replay");
    printf("replayed %zu inputs\n", replayed_count);
    return 0;
}
