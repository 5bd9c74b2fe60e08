// supervise PROGRAM ARGUMENTS… — PID 1 after the set-up script: runs the program, collects orphans, and
// powers the machine off when the program ends or somebody presses the (virtual) power button.
#include <fcntl.h>
#include <linux/input.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t start(char **command)
{
    pid_t child = fork();
    if (child == 0) {
        execv(command[0], command);
        perror(command[0]);
        _exit(127);
    }
    return child;
}

// Ends when the power button is pressed, whichever of the input devices it is.
static pid_t watch_power_button(void)
{
    pid_t child = fork();
    if (child != 0)
        return child;
    struct pollfd devices[8];
    for (int i = 0; i < 8; i++) {
        char path[32];
        snprintf(path, sizeof path, "/dev/input/event%d", i);
        devices[i] = (struct pollfd) { .fd = open(path, O_RDONLY), .events = POLLIN };
    }
    for (;;) {
        poll(devices, 8, -1);
        for (int i = 0; i < 8; i++) {
            struct input_event event;
            if (devices[i].revents && read(devices[i].fd, &event, sizeof event) == sizeof event
                && event.type == EV_KEY && event.code == KEY_POWER)
                _exit(0);
        }
    }
}

// As any distribution's shutdown does: Linux 6.1 spins for ever when virtio-net still sends as its queues are taken away.
static void silence(const char *interface)
{
    int control = socket(AF_INET, SOCK_DGRAM, 0);
    struct ifreq request = { 0 };
    strncpy(request.ifr_name, interface, IFNAMSIZ - 1);
    if (ioctl(control, SIOCGIFFLAGS, &request) == 0) {
        request.ifr_flags &= ~IFF_UP;
        ioctl(control, SIOCSIFFLAGS, &request);
    }
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: supervise PROGRAM ARGUMENTS…\n");
        return 2;
    }
    pid_t server = start(argv + 1);
    pid_t button = watch_power_button();
    pid_t ended;
    do {
        ended = wait(NULL);
    } while (ended != server && ended != button);
    printf("pollux guest: %s, powering off\n", ended == server ? "the server ended" : "power button");
    fflush(stdout);
    silence("eth0");
    sync();
    reboot(RB_POWER_OFF);
    return EXIT_FAILURE;
}
