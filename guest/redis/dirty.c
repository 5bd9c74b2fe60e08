// dirty MIB PAGES[/PAGES…] [word|same|random] — rewrites PAGES pages a second by the guest's clock, round robin within MIB MiB, and says so ten times a
// second. Of several rates each has five seconds, again and again. A guest that cannot keep up does not make up for it later.
// word (default): one word of each page gets a new value; same: one word is written with the value it has; random: the whole page is new.
// A load whose dirty set is known, for tests and comparisons.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, SLICES_PER_SECOND = 100, SAID_PER_SECOND = 10, NANOSECONDS = 1000000000, RATES = 64, SECONDS_EACH = 5 };

enum mode { WORD, SAME, RANDOM };

static void rewrite(char *page, enum mode mode, unsigned long count)
{
    static unsigned long state = 88172645463325252ul;
    volatile unsigned long *words = (volatile unsigned long *)page;
    if (mode == SAME) {
        words[0] = words[0];
        return;
    }
    if (mode == WORD) {
        words[0] = count;
        return;
    }
    for (int i = 0; i < PAGE / (int)sizeof *words; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        words[i] = state;
    }
}

int main(int argc, char **argv)
{
    const char *word = argc == 4 ? argv[3] : "word";
    enum mode mode = !strcmp(word, "same") ? SAME : !strcmp(word, "random") ? RANDOM : WORD;
    if (argc < 3 || argc > 4 || (mode == WORD && strcmp(word, "word"))) {
        fprintf(stderr, "usage: dirty MIB PAGES_PER_SECOND[/...] [word|same|random]\n");
        return 2;
    }
    size_t pages = strtoul(argv[1], NULL, 10) * (1 << 20) / PAGE;
    unsigned long per_slice[RATES];
    int rates = 0;
    for (char *rate = argv[2]; rates < RATES && *rate; rate += *rate == '/')
        per_slice[rates++] = strtoul(rate, &rate, 10) / SLICES_PER_SECOND;
    char *memory = pages && rates ? malloc(pages * PAGE) : NULL;
    if (!memory) {
        fprintf(stderr, "dirty: no memory for %s MiB\n", argv[1]);
        return 1;
    }
    memset(memory, 1, pages * PAGE);
    unsigned long writes = 0;
    struct timespec next, now;
    clock_gettime(CLOCK_MONOTONIC, &next);
    for (unsigned long slice = 1;; slice++) {
        unsigned long todo = per_slice[slice / (SECONDS_EACH * SLICES_PER_SECOND) % rates];
        for (unsigned long i = 0; i < todo; i++) {
            rewrite(memory + writes % pages * PAGE, mode, writes);
            writes++;
        }
        if (slice % (SLICES_PER_SECOND / SAID_PER_SECOND) == 0) {
            printf("dirty: %lu pages written\n", writes);
            fflush(stdout);
        }
        next.tv_nsec += NANOSECONDS / SLICES_PER_SECOND;
        next.tv_sec += next.tv_nsec / NANOSECONDS;
        next.tv_nsec %= NANOSECONDS;
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec > next.tv_sec || (now.tv_sec == next.tv_sec && now.tv_nsec > next.tv_nsec))
            next = now;
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
    }
}
