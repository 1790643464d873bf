#pragma once

// The scans are compiled once for each instruction set named here, and the
// loader picks: wheels need no AVX, and use it where it is. Sanitizers cannot
// instrument the resolvers, so they get the plain version.
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__)                     \
    && !defined(CARBONEDGE_SANITIZE)
#define CARBONEDGE_MULTIVERSION                                                        \
    __attribute__((target_clones("arch=x86-64-v4", "avx2", "default")))
#else
#define CARBONEDGE_MULTIVERSION
#endif
