/* The files of the page, embedded in the binary by the build (tools/embed_assets.py writes the table). */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct web_asset {
    const char *path;         /* URL path, "/" for the page itself, for example "/app.1f0c9a2b.js" */
    const char *content_type; /* value of Content-Type, with charset where one applies */
    const unsigned char *bytes;
    size_t size;
    const unsigned char *gzip; /* the same content, gzip-compressed; NULL when that would not be smaller */
    size_t gzip_size;
    const char *etag; /* strong entity tag of the content, with its quotes */
    bool immutable;   /* the name contains the content's hash, so caches may keep it for ever */
};

/* Every asset, sorted by path (byte order). Constant data, any thread. */
extern const struct web_asset web_assets[];
extern const size_t web_assets_count;

/* The asset served at `path` (no query string), or NULL. Any thread. */
const struct web_asset *web_asset_find(const char *path, size_t path_size);
