/* Preloaded into the Watcher: its wall clock, and nothing else, is off by an offset.
 *
 * The offset is a 64-bit number of nanoseconds in the file that CHAOS_CLOCK_OFFSET_FILE names,
 * looked at through shared memory, so that a change is felt at the next look at the clock. The
 * monotonic clocks, sleeping, and the times of files stay as they are. What waits for a moment of
 * the wall clock in the kernel (pthread_cond_timedwait and the like) waits for the true one.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000LL

static const int64_t *offset_ns;
static int (*real_gettime)(clockid_t, struct timespec *);

__attribute__((constructor)) static void look_for_the_offset(void)
{
    const char *path = getenv("CHAOS_CLOCK_OFFSET_FILE");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *seen = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (seen != MAP_FAILED)
        offset_ns = seen;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    if (!real_gettime)
        real_gettime = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real_gettime(clock, now);
    if (failed || !offset_ns || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE))
        return failed;
    int64_t offset = __atomic_load_n(offset_ns, __ATOMIC_RELAXED);
    int64_t ns = now->tv_nsec + offset % NS_PER_S;
    now->tv_sec += offset / NS_PER_S;
    if (ns < 0)
        now->tv_sec--, ns += NS_PER_S;
    else if (ns >= NS_PER_S)
        now->tv_sec++, ns -= NS_PER_S;
    now->tv_nsec = ns;
    return 0;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec moment;
    (void)zone; /* obsolete: nobody asks for it */
    if (clock_gettime(CLOCK_REALTIME, &moment))
        return -1;
    now->tv_sec = moment.tv_sec;
    now->tv_usec = moment.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *place)
{
    struct timespec moment;
    if (clock_gettime(CLOCK_REALTIME, &moment))
        return (time_t)-1;
    if (place)
        *place = moment.tv_sec;
    return moment.tv_sec;
}

int timespec_get(struct timespec *now, int base)
{
    return base == TIME_UTC && !clock_gettime(CLOCK_REALTIME, now) ? base : 0;
}
