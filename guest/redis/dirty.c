// dirty MIB PAGES — rewrites PAGES pages a second, round robin within MIB MiB, and says so every five seconds.
// A load whose dirty set is known, for tests and comparisons.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PAGE = 4096, SLICES_PER_SECOND = 100 };

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: dirty MIB PAGES_PER_SECOND\n");
        return 2;
    }
    size_t pages = strtoul(argv[1], NULL, 10) * (1 << 20) / PAGE;
    unsigned long per_slice = strtoul(argv[2], NULL, 10) / SLICES_PER_SECOND;
    char *memory = pages ? malloc(pages * PAGE) : NULL;
    if (!memory) {
        fprintf(stderr, "dirty: no memory for %s MiB\n", argv[1]);
        return 1;
    }
    memset(memory, 1, pages * PAGE);
    unsigned long writes = 0;
    for (unsigned long slice = 1;; slice++) {
        for (unsigned long i = 0; i < per_slice; i++) {
            *(volatile unsigned long *)(memory + writes % pages * PAGE) = writes;
            writes++;
        }
        if (slice % (5 * SLICES_PER_SECOND) == 0) {
            printf("dirty: %lu pages written\n", writes);
            fflush(stdout);
        }
        usleep(1000000 / SLICES_PER_SECOND);
    }
}
