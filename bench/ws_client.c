/* See ws_client.h. */
#include "ws_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void ws_fail(const char *what)
{
    perror(what);
    exit(1);
}

static int connect_to(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    int client = socket(AF_INET, SOCK_STREAM, 0);
    if (client < 0 || connect(client, (struct sockaddr *)&address, sizeof address) != 0)
        ws_fail("connect");
    return client;
}

/* Asks for the upgrade and reads the answer's head byte by byte, so that no frame behind it is swallowed. */
int ws_connect(uint16_t port)
{
    int client = connect_to(port);
    char text[1024];
    int size =
        snprintf(text, sizeof text,
                 "GET /ws HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
                 port);
    if (write(client, text, (size_t)size) != size)
        ws_fail("write");
    size_t got = 0;
    while (got < 4 || memcmp(text + got - 4, "\r\n\r\n", 4) != 0)
        if (got == sizeof text || read(client, text + got++, 1) != 1)
            ws_fail("upgrade");
    if (memcmp(text, "HTTP/1.1 101", 12) != 0) {
        fprintf(stderr, "refused: %.*s\n", (int)got, text);
        exit(1);
    }
    return client;
}

void ws_send_text(int client, const char *text)
{
    uint8_t frame[6 + WS_TEXT_SIZE_MAX] = {0x81}; /* a mask of zeroes leaves the text as it is */
    size_t size = strlen(text);
    if (size > WS_TEXT_SIZE_MAX)
        ws_fail("the text is too long");
    frame[1] = (uint8_t)(0x80 | size);
    memcpy(frame + 6, text, size);
    if (write(client, frame, 6 + size) != (ssize_t)(6 + size))
        ws_fail("write");
}

bool ws_parse_header(const uint8_t *bytes, size_t size, size_t *header_size, uint64_t *payload_size)
{
    if (size < 2)
        return false;
    unsigned length = bytes[1] & 0x7f;
    *header_size = length == 126 ? 4 : length == 127 ? 10 : 2;
    *payload_size = length < 126 ? length : 0;
    if (size < *header_size)
        return false;
    for (size_t i = 2; i < *header_size; i++)
        *payload_size = *payload_size << 8 | bytes[i];
    return true;
}
