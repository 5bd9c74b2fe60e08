// checkpoint-floor SOCKET — the least that a partner of QEMU's COLO can do: answers at once and throws every page away.
// What a guest stands still with it is QEMU's own share of a pause; 'pollux bench checkpoint' measures Pollux against it.
// Listens on SOCKET, serves one QEMU (7.2 to 10) until it closes, then prints "CHECKPOINTS PAGES" (the median of a checkpoint's pages).
#include <endian.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { READY = 0, REQUEST, REPLY, VMSTATE_SEND, VMSTATE_SIZE, RECEIVED, LOADED };
enum { SECTION_EOF = 0, SECTION_PART = 2, SECTION_END = 3, SECTION_COMMAND = 8, SECTION_FOOTER = 0x7e };
enum { ZERO = 0x02, PAGE = 0x08, EOS = 0x10, CONTINUE = 0x20, FLAGS = 0xfff, PAGE_BYTES = 4096 };
enum { SAMPLES = 1 << 16, SILENCE_MS = 500 };

static int peer;
static unsigned char buffer[4 << 20];
static size_t begin, end;
static uint32_t samples[SAMPLES];
static long checkpoints;

static int by_value(const void *a, const void *b)
{
    return (*(const uint32_t *)a > *(const uint32_t *)b) - (*(const uint32_t *)a < *(const uint32_t *)b);
}

static void report_and_exit(void)
{
    long n = checkpoints < SAMPLES ? checkpoints : SAMPLES;
    qsort(samples, n, sizeof samples[0], by_value);
    printf("%ld %u\n", checkpoints, n ? samples[n / 2] : 0);
    exit(0);
}

// Makes at least n bytes of the buffer readable.
static unsigned char *need(size_t n)
{
    if (end - begin < n) {
        memmove(buffer, buffer + begin, end - begin);
        end -= begin;
        begin = 0;
        while (end < n) {
            ssize_t got = read(peer, buffer + end, sizeof buffer - end);
            if (got <= 0)
                report_and_exit();
            end += got;
        }
    }
    return buffer + begin;
}

static uint64_t take(int bytes)
{
    unsigned char *at = need(bytes);
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++)
        value = value << 8 | at[i];
    begin += bytes;
    return value;
}

static void skip(size_t n)
{
    while (n > 0) {
        size_t part = n < PAGE_BYTES ? n : PAGE_BYTES;
        need(part);
        begin += part;
        n -= part;
    }
}

static void expect(uint64_t got, uint64_t wanted, const char *what)
{
    if (got != wanted) {
        fprintf(stderr, "checkpoint-floor: %llu where %s (%llu) is expected\n", (unsigned long long)got, what, (unsigned long long)wanted);
        exit(1);
    }
}

static void say(uint32_t message)
{
    uint32_t wire = htobe32(message);
    if (write(peer, &wire, sizeof wire) != sizeof wire)
        report_and_exit();
}

static uint32_t skip_ram_section(void)
{
    uint32_t pages = 0;
    skip(4);
    for (;;) {
        uint64_t flags = take(8) & FLAGS;
        if (flags & EOS)
            break;
        if (!(flags & (ZERO | PAGE)))
            continue;
        if (!(flags & CONTINUE))
            skip(take(1));
        skip(flags & PAGE ? PAGE_BYTES : 1);
        pages++;
    }
    expect(take(1), SECTION_FOOTER, "a section's footer");
    skip(4);
    return pages;
}

static void checkpoint(void)
{
    uint32_t pages = 0;
    expect(take(4), REQUEST, "CHECKPOINT_REQUEST");
    say(REPLY);
    expect(take(4), VMSTATE_SEND, "VMSTATE_SEND");
    for (uint64_t type; (type = take(1)) != SECTION_EOF;) {
        if (type == SECTION_COMMAND) {
            skip(2);
            skip(take(2));
        } else {
            expect(type == SECTION_PART || type == SECTION_END, 1, "a RAM section");
            pages += skip_ram_section();
        }
    }
    expect(take(4), VMSTATE_SIZE, "VMSTATE_SIZE");
    skip(take(8));
    say(RECEIVED);
    say(LOADED);
    samples[checkpoints++ % SAMPLES] = pages;
}

int main(int argc, char **argv)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (argc != 2 || strlen(argv[1]) >= sizeof address.sun_path) {
        fprintf(stderr, "usage: checkpoint-floor SOCKET\n");
        return 2;
    }
    strcpy(address.sun_path, argv[1]);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 1)) {
        perror(argv[1]);
        return 1;
    }
    puts("listening");
    fflush(stdout);
    peer = accept(listener, NULL, NULL);
    // The first copy has no length: it is over when QEMU falls silent and waits for us.
    struct pollfd ready = { .fd = peer, .events = POLLIN };
    while (poll(&ready, 1, SILENCE_MS) == 1)
        if (read(peer, buffer, sizeof buffer) <= 0)
            report_and_exit();
    say(READY);
    for (;;)
        checkpoint();
}
