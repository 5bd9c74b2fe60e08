// A clock to poll: readable once in so many nanoseconds of the guest's time.
#include <sys/timerfd.h>

static inline int paced(long long nanoseconds)
{
    int clock = timerfd_create(CLOCK_MONOTONIC, 0);
    struct timespec pace = { .tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000 };
    struct itimerspec timer = { pace, pace };
    timerfd_settime(clock, 0, &timer, NULL);
    return clock;
}
