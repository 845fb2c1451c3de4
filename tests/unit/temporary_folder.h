/* A folder for a test's files, removed with all that is in it. */
#pragma once

#include <assert.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline int temporary_remove_entry(const char *path, const struct stat *info, int kind,
                                         struct FTW *walk)
{
    (void)info;
    (void)kind;
    (void)walk;
    return remove(path);
}

struct temporary_folder {
    char path[64];
    char file[128]; /* of the latest temporary_path() */
};

static inline void temporary_folder_open(struct temporary_folder *folder)
{
    snprintf(folder->path, sizeof folder->path, "%s", "/tmp/weir-test-XXXXXX");
    char *made = mkdtemp(folder->path);
    assert(made);
}

static inline void temporary_folder_close(struct temporary_folder *folder)
{
    nftw(folder->path, temporary_remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static inline const char *temporary_path(struct temporary_folder *folder, const char *name)
{
    snprintf(folder->file, sizeof folder->file, "%s/%s", folder->path, name);
    return folder->file;
}
