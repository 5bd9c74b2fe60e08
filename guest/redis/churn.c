// churn KEYS BYTES — sets random keys of the Redis server in this guest to new values of BYTES bytes, over loopback, sixteen at a time and as fast as it
// is answered, and says so ten times a second. A load of a real server whose memory is written all over, without a network outside.
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PORT = 6379, TOGETHER = 16, SAID_PER_SECOND = 10, BYTES_MAX = 8192, HEAD_MAX = 128 };

static int connected(void)
{
    struct sockaddr_in server = { .sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    for (;;) {
        int s = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(s, (struct sockaddr *)&server, sizeof server) == 0)
            return s;
        close(s);
        usleep(50000);
    }
}

int main(int argc, char **argv)
{
    unsigned long keys = argc == 3 ? strtoul(argv[1], NULL, 10) : 0, bytes = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
    if (!keys || !bytes || bytes > BYTES_MAX) {
        fprintf(stderr, "usage: churn KEYS BYTES (at most %d)\n", BYTES_MAX);
        return 2;
    }
    static char request[TOGETHER * (BYTES_MAX + HEAD_MAX)], answer[4096];
    unsigned long state = 88172645463325252ul, sets = 0;
    int server = connected();
    struct timespec said = { 0 }, now;
    for (;;) {
        size_t length = 0;
        for (int i = 0; i < TOGETHER; i++) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            char key[32];
            int key_length = snprintf(key, sizeof key, "key:%lu", state % keys);
            length += snprintf(request + length, HEAD_MAX, "*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%lu\r\n", key_length, key, bytes);
            memset(request + length, 'a' + state % 26, bytes);
            length += bytes;
            length += snprintf(request + length, 3, "\r\n");
        }
        for (size_t done = 0; done < length;) {
            ssize_t n = write(server, request + done, length - done);
            if (n <= 0)
                return 1;
            done += n;
        }
        // Every answer is a line.
        for (int lines = 0; lines < TOGETHER;) {
            ssize_t n = read(server, answer, sizeof answer);
            if (n <= 0)
                return 1;
            for (ssize_t i = 0; i < n; i++)
                lines += answer[i] == '\n';
        }
        sets += TOGETHER;
        clock_gettime(CLOCK_MONOTONIC, &now);
        if ((now.tv_sec - said.tv_sec) * 1000 + (now.tv_nsec - said.tv_nsec) / 1000000 >= 1000 / SAID_PER_SECOND) {
            printf("churn: %lu values set\n", sets);
            fflush(stdout);
            said = now;
        }
    }
}
