/* Which part of the server answers a request. */
#include "serve/server_internal.h"

uint64_t routes_body_limit(void *context, const struct http_request *request)
{
    (void)context;
    return ingest_route_matches(request) ? (uint64_t)INGEST_BODY_MAX_SIZE
                                         : (uint64_t)SERVER_OTHER_BODY_SIZE_MAX;
}

void routes_dispatch(struct connection *connection)
{
    struct http_request *request = &connection->http->reader.request;
    bool is_page = slice_equal_text(request->path, "/");
    if (slice_equal_text(request->path, "/ws") || (is_page && request->is_websocket))
        websocket_session_upgrade(connection, request);
    else if (ingest_route_matches(request))
        ingest_route_answer(connection, request);
    else if (!api_bridge_answer(connection, request) && !static_assets_answer(connection, request))
        api_bridge_not_found(connection, request);
}
