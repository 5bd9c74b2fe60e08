// checksum MIB:PAGES:PORT — memory of which an outsider knows what it must be. MIB MiB are filled with words that follow from the page's number; PAGES pages a
// second, all over them, are rewritten with words that follow from the number of the write too. Whoever connects to TCP PORT is told the number of pages, of writes, and
// a sum of all words in their order, as they are in memory now: what an outsider reckons from the first two. All integers are big endian, 8 bytes. Its counterpart is
// Pollux.Lab.Judgement.KnownMemory, which says the same in C#: change both.
#include <arpa/inet.h>
#include <endian.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pace.h"

enum { WORDS = 4096 / 8, SLICES_PER_SECOND = 100, NANOSECONDS = 1000000000 };

// As SplitMix64 mixes.
static uint64_t mixed(uint64_t n)
{
    n *= 0x9e3779b97f4a7c15ull;
    n = (n ^ n >> 30) * 0xbf58476d1ce4e5b9ull;
    n = (n ^ n >> 27) * 0x94d049bb133111ebull;
    return n ^ n >> 31;
}

static void fill(uint64_t *page, uint64_t number, uint64_t generation)
{
    uint64_t seed = mixed(number << 40 ^ generation);
    for (int i = 0; i < WORDS; i++)
        page[i] = mixed(seed + i);
}

static uint64_t sum(const uint64_t *words, uint64_t count)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < count; i++)
        sum = (sum ^ words[i]) * 0x100000001b3ull;
    return sum;
}

int main(int argc, char **argv)
{
    unsigned mebibytes, rate, port;
    if (argc != 2 || sscanf(argv[1], "%u:%u:%u", &mebibytes, &rate, &port) != 3 || mebibytes == 0) {
        fprintf(stderr, "usage: checksum MIB:PAGES_PER_SECOND:PORT\n");
        return 2;
    }
    uint64_t pages = (uint64_t)mebibytes << 8, writes = 0, slices = 0;
    uint64_t *memory = mmap(NULL, pages * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(port) };
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (memory == MAP_FAILED || bind(listener, (struct sockaddr *)&any, sizeof any) || listen(listener, 4)) {
        perror("checksum");
        return 1;
    }
    for (uint64_t n = 0; n < pages; n++)
        fill(memory + n * WORDS, n, 0);
    int clock = paced(NANOSECONDS / SLICES_PER_SECOND);
    struct pollfd ready[] = { { .fd = clock, .events = POLLIN }, { .fd = listener, .events = POLLIN } };
    for (;;) {
        poll(ready, 2, -1);
        uint64_t ticks;
        // A guest that stood still does not make up for it.
        if ((ready[0].revents & POLLIN) && read(clock, &ticks, sizeof ticks) == sizeof ticks) {
            slices++;
            for (uint64_t i = rate * (slices - 1) / SLICES_PER_SECOND; i < rate * slices / SLICES_PER_SECOND; i++) {
                uint64_t n = mixed(++writes) % pages;
                fill(memory + n * WORDS, n, writes);
            }
        }
        if (ready[1].revents & POLLIN) {
            int peer = accept(listener, NULL, NULL);
            uint64_t answer[] = { htobe64(pages), htobe64(writes), htobe64(sum(memory, pages * WORDS)) };
            if (peer >= 0 && write(peer, answer, sizeof answer) < 0)
                perror("checksum");
            close(peer);
        }
    }
}
