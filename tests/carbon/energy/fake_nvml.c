/* A stand-in for libnvidia-ml.so.1: answers are files of the folder that FAKE_NVML names.
 *
 * A file holds a number, or "error" and NVML's number of it; one that is missing is
 * NVML_ERROR_NOT_SUPPORTED. Devices are numbered in the names: energy-0, power-1.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, UNINITIALIZED = 1, NOT_SUPPORTED = 3 };

static int users;

static int answer(char const *name, unsigned long device, unsigned long long *value)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s-%lu", getenv("FAKE_NVML"), name, device);
    FILE *file = fopen(path, "r");
    if (!file)
        return NOT_SUPPORTED;
    int error = SUCCESS;
    if (fscanf(file, "error %d", &error) != 1 && fscanf(file, "%llu", value) != 1)
        abort();
    fclose(file);
    return error;
}

int nvmlInitWithFlags(unsigned flags)
{
    unsigned long long ignored = flags;
    int const error = answer("init", 0, &ignored);
    if (error != SUCCESS && error != NOT_SUPPORTED)
        return error;
    ++users;
    return SUCCESS;
}

int nvmlShutdown(void)
{
    if (!users)
        return UNINITIALIZED;
    --users;
    return SUCCESS;
}

int nvmlDeviceGetCount_v2(unsigned *count)
{
    unsigned long long value = 0;
    int const error = users ? answer("count", 0, &value) : UNINITIALIZED;
    *count = (unsigned)value;
    return error;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device)
{
    *device = (void *)(unsigned long)(index + 1);
    return users ? SUCCESS : UNINITIALIZED;
}

int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *millijoules)
{
    return users ? answer("energy", (unsigned long)device - 1, millijoules) : UNINITIALIZED;
}

int nvmlDeviceGetPowerUsage(void *device, unsigned *milliwatts)
{
    unsigned long long value = 0;
    int const error = users ? answer("power", (unsigned long)device - 1, &value) : UNINITIALIZED;
    *milliwatts = (unsigned)value;
    return error;
}

char const *nvmlErrorString(int error)
{
    return error == SUCCESS ? "Success" : "some error";
}
