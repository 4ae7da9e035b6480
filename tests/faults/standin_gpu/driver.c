/* Stands for libnvidia-ml.so.1 and libcuda.so.1 at once: one GPU of 8 GB, whose node is
 * $STANDIN_GPU/dev/nvidia0. Who has allocated has a file $STANDIN_GPU/PID with the size in it; it
 * counts while that process lives. Without a node of its own (as with the real driver when the
 * node is something else) every call fails. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define TOTAL (8ULL << 30)
typedef unsigned long long ull;
struct memory { ull total, free, used; };
struct process { unsigned pid; ull used; unsigned gpu_instance, compute_instance; };

static const char *root(void) { return getenv("STANDIN_GPU"); }

static int lost(void)
{
    char path[512];
    struct stat node;
    snprintf(path, sizeof path, "%s/dev/nvidia0", root());
    return stat(path, &node) || (S_ISCHR(node.st_mode) && node.st_rdev == makedev(1, 3));
}

static ull holders(struct process *list, unsigned *count, unsigned most)
{
    ull used = 0;
    DIR *folder = opendir(root());
    *count = 0;
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        char path[512];
        int pid = atoi(entry->d_name);
        if (pid <= 0 || kill(pid, 0))
            continue;
        snprintf(path, sizeof path, "%s/%s", root(), entry->d_name);
        FILE *file = fopen(path, "r");
        ull size = 0;
        if (file && fscanf(file, "%llu", &size) == 1) {
            if (list && *count < most) {
                memset(&list[*count], 0, sizeof *list);
                list[*count].pid = pid;
                list[*count].used = size;
            }
            ++*count;
            used += size;
        }
        if (file)
            fclose(file);
    }
    if (folder)
        closedir(folder);
    return used;
}

int nvmlInitWithFlags(unsigned flags) { (void)flags; return 0; }
int nvmlInit_v2(void) { return 0; }
int nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(int code) { (void)code; return "GPU is lost"; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 1; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device)
{
    *device = (void *)(uintptr_t)(index + 1);
    return lost() ? 15 : 0;
}
int nvmlDeviceGetMemoryInfo(void *device, struct memory *memory)
{
    unsigned count;
    (void)device;
    memory->used = holders(NULL, &count, 0);
    memory->total = TOTAL;
    memory->free = TOTAL - memory->used;
    return 0;
}
int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned *count, struct process *list)
{
    unsigned found, most = list ? *count : 0;
    (void)device;
    holders(list, &found, most);
    *count = found;
    return found > most ? 7 : 0;
}

int cuInit(unsigned flags) { (void)flags; return lost() ? 100 : 0; }
int cuDeviceGetCount(int *count) { *count = 1; return 0; }
int cuDeviceGet(int *device, int index) { *device = index; return index ? 101 : 0; }
int cuCtxCreate_v2(void **context, unsigned flags, int device)
{
    (void)flags, (void)device;
    *context = NULL;
    return 0;
}
int cuMemAlloc_v2(uint64_t *address, size_t size)
{
    char path[512];
    unsigned count;
    if (holders(NULL, &count, 0) + size > TOTAL)
        return 2;
    snprintf(path, sizeof path, "%s/%d", root(), (int)getpid());
    FILE *file = fopen(path, "w");
    if (!file)
        return 2;
    fprintf(file, "%zu", size);
    fclose(file);
    *address = 1;
    return 0;
}
