/*
 * Preloaded into QEMU <= 10 under TCG only.
 *
 * COLO saves RAM in its migration thread without QEMU's big lock. Under TCG that path calls run_on_cpu(), which waits on a condition
 * variable with a mutex that the caller is supposed to hold: pthread_cond_wait() then unlocks a mutex owned by another thread, and both
 * wait for ever. QEMU 11 takes the lock (migration/ram.c). Here a wait by a thread that does not own the mutex becomes: take it, let
 * it go, yield, and return as if woken up. Callers of pthread_cond_wait() must expect that.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

static int (*real_wait)(pthread_cond_t *, pthread_mutex_t *);
static int (*real_broadcast)(pthread_cond_t *);
static __thread int thread_id;
/* What this thread woke last: the CPUs' own halt condition, which has to be woken again while we spin. */
static __thread pthread_cond_t *last_broadcast;

__attribute__((constructor)) static void find_real(void)
{
    real_wait = dlvsym(RTLD_NEXT, "pthread_cond_wait", "GLIBC_2.3.2");
    real_broadcast = dlvsym(RTLD_NEXT, "pthread_cond_broadcast", "GLIBC_2.3.2");
}

int pthread_cond_broadcast(pthread_cond_t *condition)
{
    last_broadcast = condition;
    return real_broadcast(condition);
}

int pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
{
    if (!thread_id) {
        thread_id = syscall(SYS_gettid);
    }
    if (mutex->__data.__owner == thread_id) {
        return real_wait(condition, mutex);
    }
    pthread_mutex_lock(mutex);
    if (last_broadcast) {
        real_broadcast(last_broadcast);
    }
    pthread_mutex_unlock(mutex);
    sched_yield();
    return 0;
}
