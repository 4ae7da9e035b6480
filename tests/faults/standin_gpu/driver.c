/* Stands for libnvidia-ml.so.1 and libcuda.so.1 at once: GPUs of 8 GB, described by files in the
 * folder $STANDIN_GPU, which are read at every call:
 *
 *   dev/nvidia0        the node of GPU 0; without a node of its own (or when it is something else)
 *                      every call that opens the GPU fails, as with the real driver
 *   PID                what that process has allocated, while it lives: "BYTES [GPU [INSTANCE]]";
 *                      BYTES -1: the driver does not tell how much
 *   gpus               how many GPUs there are (else 1)
 *   migN               MIG is on on GPU N, with so many instances, numbered from 1
 *   memory_error_N     the error code for the memory of GPU N (with MIG: of the whole GPU)
 *   process_error_N    the same for the list of its processes
 *   init_error         the same for opening the library
 *   first              the host's number of GPU 0, as told in a container with some of the GPUs: of
 *                      UUIDs only
 *   uuid_error         the error code for UUIDs
 *   numbers            added to each process number: as the host counts, seen from a container
 *
 * It cannot show how a real driver behaves where its manual leaves that open. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define TOTAL (8ULL << 30)
#define INSTANCES_MAX 7
typedef unsigned long long ull;
struct memory { ull total, free, used; };
struct process { unsigned pid; ull used; unsigned gpu_instance, compute_instance; };

static const char *root(void) { return getenv("STANDIN_GPU"); }

/* The number in a file, or `other`. */
static long told(const char *name, long index, long other)
{
    char path[512];
    long value = other;
    if (index < 0)
        snprintf(path, sizeof path, "%s/%s", root(), name);
    else
        snprintf(path, sizeof path, "%s/%s%ld", root(), name, index);
    FILE *file = fopen(path, "r");
    if (file) {
        if (fscanf(file, "%ld", &value) != 1)
            value = other;
        fclose(file);
    }
    return value;
}

static void node_of(char *path, size_t size, int index)
{
    snprintf(path, size, "%s/dev/nvidia%d", root(), index);
}

static int lost(int index)
{
    char path[512];
    struct stat node;
    node_of(path, sizeof path, index);
    return stat(path, &node) || (S_ISCHR(node.st_mode) && node.st_rdev == makedev(1, 3));
}

/* A handle is the GPU's index + 1, and 256 x the instance's number above it. */
static int gpu_of(void *device) { return (int)((uintptr_t)device & 255) - 1; }
static int instance_of(void *device) { return (int)((uintptr_t)device >> 8); }

/* Instance 0: the whole GPU. */
static ull holders(int gpu, int instance, struct process *list, unsigned *count, unsigned most)
{
    ull used = 0;
    long numbers = told("numbers", -1, 0);
    DIR *folder = opendir(root());
    *count = 0;
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        char path[512];
        int pid = atoi(entry->d_name), on_gpu = 0, on_instance = 0;
        if (pid <= 0 || kill(pid, 0))
            continue;
        snprintf(path, sizeof path, "%s/%s", root(), entry->d_name);
        FILE *file = fopen(path, "r");
        long long size = 0;
        if (file && fscanf(file, "%lld %d %d", &size, &on_gpu, &on_instance) >= 1
            && on_gpu == gpu && (!instance || on_instance == instance)) {
            if (list && *count < most) {
                memset(&list[*count], 0, sizeof *list);
                list[*count].pid = pid + numbers;
                list[*count].used = size;
            }
            ++*count;
            used += size < 0 ? 0 : size;
        }
        if (file)
            fclose(file);
    }
    if (folder)
        closedir(folder);
    return used;
}

int nvmlInitWithFlags(unsigned flags) { (void)flags; return told("init_error", -1, 0); }
int nvmlInit_v2(void) { return told("init_error", -1, 0); }
int nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(int code)
{
    switch (code) {
    case 3: return "Not Supported";
    case 4: return "Insufficient Permissions";
    case 6: return "Not Found";
    case 9: return "Driver Not Loaded";
    case 999: return "Unknown Error";
    default: return "GPU is lost";
    }
}
int nvmlSystemGetDriverVersion(char *text, unsigned size)
{
    snprintf(text, size, "570.0.standin");
    return 0;
}
int nvmlDeviceGetCount_v2(unsigned *count) { *count = told("gpus", -1, 1); return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device)
{
    *device = (void *)(uintptr_t)(index + 1);
    return lost(index) ? 15 : 0;
}
int nvmlDeviceGetName(void *device, char *text, unsigned size)
{
    snprintf(text, size, "Stand-in %d", gpu_of(device));
    return 0;
}
int nvmlDeviceGetUUID(void *device, char *text, unsigned size)
{
    long gpu = gpu_of(device) + told("first", -1, 0);
    if (instance_of(device))
        snprintf(text, size, "MIG-standin-%ld-%d", gpu, instance_of(device));
    else
        snprintf(text, size, "GPU-standin-%ld", gpu);
    return told("uuid_error", -1, 0);
}
int nvmlDeviceGetMinorNumber(void *device, unsigned *number)
{
    *number = gpu_of(device);
    return 0;
}
int nvmlDeviceGetMigMode(void *device, unsigned *now, unsigned *later)
{
    long instances = told("mig", gpu_of(device), -1);
    *now = *later = instances >= 0;
    return instances < 0 && gpu_of(device) % 2 ? 3 : 0; /* older GPUs know no MIG: every other */
}
int nvmlDeviceGetMaxMigDeviceCount(void *device, unsigned *count)
{
    (void)device;
    *count = INSTANCES_MAX;
    return 0;
}
int nvmlDeviceGetMigDeviceHandleByIndex(void *device, unsigned index, void **instance)
{
    *instance = (void *)((uintptr_t)device + 256 * (uintptr_t)index);
    return index >= 1 && (long)index <= told("mig", gpu_of(device), 0) ? 0 : 6;
}
int nvmlDeviceGetMemoryInfo(void *device, struct memory *memory)
{
    unsigned count;
    int error = instance_of(device) ? 0 : told("memory_error_", gpu_of(device), 0);
    memory->used = holders(gpu_of(device), instance_of(device), NULL, &count, 0);
    memory->total = TOTAL;
    memory->free = TOTAL - memory->used;
    return error;
}
int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned *count, struct process *list)
{
    unsigned found, most = list ? *count : 0;
    int error = told("process_error_", gpu_of(device), 0);
    if (error)
        return error;
    holders(gpu_of(device), instance_of(device), list, &found, most);
    *count = found;
    return found > most ? 7 : 0;
}

int cuInit(unsigned flags) { (void)flags; return lost(0) ? 100 : 0; }
int cuDeviceGetCount(int *count) { *count = told("gpus", -1, 1); return 0; }
int cuDeviceGet(int *device, int index)
{
    *device = index;
    return index >= told("gpus", -1, 1) ? 101 : 0;
}
static int current;
int cuCtxCreate_v2(void **context, unsigned flags, int device)
{
    char path[512];
    (void)flags;
    *context = NULL;
    current = device;
    node_of(path, sizeof path, device);
    return open(path, O_RDONLY | O_CLOEXEC) < 0 ? 100 : 0; /* who computes has the node open */
}
int cuMemAlloc_v2(uint64_t *address, size_t size)
{
    char path[512];
    unsigned count;
    if (holders(current, 0, NULL, &count, 0) + size > TOTAL)
        return 2;
    snprintf(path, sizeof path, "%s/%d", root(), (int)getpid());
    FILE *file = fopen(path, "w");
    if (!file)
        return 2;
    fprintf(file, "%zu %d", size, current);
    fclose(file);
    *address = 1;
    return 0;
}
