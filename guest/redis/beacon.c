// beacon ADDRESS:PORT:MILLISECONDS — says what the guest is, again and again, so that an outsider can tell two histories apart.
// Each datagram to ADDRESS:PORT carries a magic, the next number and a fresh random word; the word is kept in memory under its
// number. Whoever connects to TCP PORT and sends two numbers gets the words from the first up to before the second, or up to
// the last one said: what this guest remembers of what it said. All integers are big endian, 8 bytes.
#include <arpa/inet.h>
#include <endian.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>
#include <x86intrin.h>

#include "pace.h"

enum { remembered = 1 << 20, answer_most = 4096 };

static uint64_t words[remembered];
static uint64_t said;

// A guest that is set back has its random pool set back too: the clock's last bits tell its second try from the first.
static uint64_t fresh(void)
{
    uint64_t word = 0;
    if (getrandom(&word, sizeof word, GRND_INSECURE) != sizeof word)
        perror("getrandom");
    return word ^ (__rdtsc() * 0x9e3779b97f4a7c15ull);
}

static void answer(int listener)
{
    int peer = accept(listener, NULL, NULL);
    uint64_t range[2];
    if (peer < 0)
        return;
    struct timeval patience = { .tv_sec = 2 };
    setsockopt(peer, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(peer, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    while (recv(peer, range, sizeof range, MSG_WAITALL) == sizeof range) {
        static uint64_t reply[1 + answer_most];
        uint64_t from = be64toh(range[0]), to = be64toh(range[1]), count = 0;
        if (to > said)
            to = said;
        for (uint64_t n = from; n < to && count < answer_most; n++)
            reply[1 + count++] = htobe64(words[n % remembered]);
        reply[0] = htobe64(count);
        if (write(peer, reply, 8 * (1 + count)) < 0)
            break;
    }
    close(peer);
}

int main(int argc, char **argv)
{
    char address[16];
    unsigned port, milliseconds;
    if (argc != 2 || sscanf(argv[1], "%15[0-9.]:%u:%u", address, &port, &milliseconds) != 3 || milliseconds == 0) {
        fprintf(stderr, "usage: beacon ADDRESS:PORT:MILLISECONDS\n");
        return 2;
    }
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) }, any = to;
    inet_pton(AF_INET, address, &to.sin_addr);
    int one = 1, voice = socket(AF_INET, SOCK_DGRAM, 0), listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(voice, SOL_SOCKET, SO_BROADCAST, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&any, sizeof any) || listen(listener, 4)) {
        perror("beacon");
        return 1;
    }
    int clock = paced(milliseconds * 1000000ll);
    struct pollfd ready[] = { { .fd = clock, .events = POLLIN }, { .fd = listener, .events = POLLIN } };
    for (;;) {
        poll(ready, 2, -1);
        uint64_t ticks;
        if ((ready[0].revents & POLLIN) && read(clock, &ticks, sizeof ticks) == sizeof ticks) {
            uint64_t word = fresh(), message[3] = { htobe64(0x504c58424541434full), htobe64(said), htobe64(word) }; // "PLXBEACO"
            words[said++ % remembered] = word;
            sendto(voice, message, sizeof message, 0, (struct sockaddr *)&to, sizeof to);
        }
        if (ready[1].revents & POLLIN)
            answer(listener);
    }
}
