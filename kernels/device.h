/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ASH_KERNELS_DEVICE_H /* not #pragma once: OpenCL is given this text, not this file */
#define ASH_KERNELS_DEVICE_H

/*
 * The language of kernels/<op>/<op>.cl: a subset of C that is OpenCL C 1.2, HIP (clang, freestanding),
 * CUDA C and, for tests, C of the host. A source says here what the four spell differently:
 *
 *   KERNEL(name)    an entry point; its parameters are always DEVICE_PARAMETERS
 *   DEV             a function that entry points call
 *   GLOBAL          of pointers: to device memory
 *   LOCAL           of variables of an entry point's outermost block: one a work-group
 *   IN_LOCAL        of pointers: to such a variable
 *   LID GID NGRP    the work-item's number in its work-group, the group's number, and how many there are
 *   BARRIER()       every item of the group gets here, and sees what the others wrote before
 *   FMA SQRT RINT   of floats; FMA rounds once. Nothing else is fused: a kernel's bits do not hang on
 *                   the compiler.
 *   AS_F32 AS_U32   the same bits as the other type
 *   LOAD_HALF(p, i) element i of halves at a GLOBAL pointer, aligned to 2 bytes, as a float
 *   LOAD_U32X4(p, i) four words; p aligned to 16 bytes
 *   UNROLL          before a loop of fixed length
 *   FIRST(i, count, most) a loop over i below count, which is below most, that picks from an item's own
 *                   array: NVIDIA's cards cannot index registers, and would keep the array in memory
 *
 * Types are u8 .. u64, i8 .. i64, f32, u32x4 (fields x y z w, no arithmetic). No doubles, no halves in
 * arithmetic, no subgroups: the smallest devices have none of them.
 *
 * Work-groups have DEVICE_GROUP items. No item returns before the last BARRIER().
 */

#ifndef __OPENCL_VERSION__
#include "kernels/device_layout.h"
#endif

#if defined(__OPENCL_VERSION__)

#pragma OPENCL FP_CONTRACT OFF
typedef uchar u8;
typedef ushort u16;
typedef uint u32;
typedef ulong u64;
typedef char i8;
typedef int i32;
typedef long i64;
typedef float f32;
typedef uint4 u32x4;
#define KERNEL(name)                                                                               \
    __kernel __attribute__((reqd_work_group_size(DEVICE_GROUP, 1, 1))) void name(DEVICE_PARAMETERS)
#define DEV              static
#define GLOBAL           __global
#define LOCAL            __local
#define IN_LOCAL         __local
#define LID              ((i32)get_local_id(0))
#define GID              ((i32)get_group_id(0))
#define NGRP             ((i32)get_num_groups(0))
#define BARRIER()        barrier(CLK_LOCAL_MEM_FENCE)
#define FMA(a, b, c)     fma((f32)(a), (f32)(b), (f32)(c))
#define SQRT(a)          sqrt((f32)(a))
#define RINT(a)          rint((f32)(a))
#define AS_F32(bits)     as_float((u32)(bits))
#define AS_U32(value)    as_uint((f32)(value))
#define LOAD_HALF(p, i)  vload_half((size_t)(i), (GLOBAL const half *)(p))
#define LOAD_U32X4(p, i) (((GLOBAL const u32x4 *)(p))[i])
#define UNROLL           _Pragma("unroll")

#else

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef signed char i8;
typedef int i32;
typedef long long i64;
typedef float f32;
#define GLOBAL

/* What links with other variants of its source renames its entry points. */
#ifndef KERNEL_NAME
#define KERNEL_NAME(name) name
#endif

#if defined(__HIP__) || defined(__CUDA__) /* C++ */

#pragma clang fp contract(off)
#define KERNEL(name)                                                                               \
    extern "C" __attribute__((global)) __launch_bounds__(DEVICE_GROUP) void KERNEL_NAME(name)(     \
        DEVICE_PARAMETERS)
#define IN_LOCAL
#define LOCAL __attribute__((shared))
#if defined(__HIP__) /* no header and no library: what the compiler itself knows */
#define DEV static __attribute__((device))
#ifndef __launch_bounds__
#define __launch_bounds__(items) __attribute__((amdgpu_flat_work_group_size(items, items)))
#endif
typedef u32 u32x4 __attribute__((ext_vector_type(4)));
#define LID             ((i32)__builtin_amdgcn_workitem_id_x())
#define GID             ((i32)__builtin_amdgcn_workgroup_id_x())
#define NGRP            ((i32)(__builtin_amdgcn_grid_size_x() / DEVICE_GROUP))
#define LOAD_HALF(p, i) ((f32)((const _Float16 *)(p))[i])
#define BARRIER()                                                                                  \
    do {                                                                                           \
        __builtin_amdgcn_fence(__ATOMIC_RELEASE, "workgroup");                                     \
        __builtin_amdgcn_s_barrier();                                                              \
        __builtin_amdgcn_fence(__ATOMIC_ACQUIRE, "workgroup");                                     \
    } while (0)
#define AS_F32(bits)  __builtin_bit_cast(f32, (u32)(bits))
#define AS_U32(value) __builtin_bit_cast(u32, (f32)(value))
#else /* CUDA as clang has it, likewise without a header or a library */
#define DEV                      static __attribute__((device, always_inline))
#define KERNEL_GROUPS            2 /* that are to share a multiprocessor at the least */
#define __launch_bounds__(items) __attribute__((launch_bounds(items, KERNEL_GROUPS)))
typedef u32 u32x4 __attribute__((ext_vector_type(4)));
#define LID                      ((i32)__nvvm_read_ptx_sreg_tid_x())
#define GID                      ((i32)__nvvm_read_ptx_sreg_ctaid_x())
#define NGRP                     ((i32)__nvvm_read_ptx_sreg_nctaid_x())
#define LOAD_HALF(p, i)          ((f32)((const _Float16 *)(p))[i])
#define BARRIER()                __syncthreads()
#define AS_F32(bits)             __builtin_bit_cast(f32, (u32)(bits))
#define AS_U32(value)            __builtin_bit_cast(u32, (f32)(value))
#endif
#define UNROLL _Pragma("unroll")

#else /* C of the host: a test gives each item a stack of its own */

struct device_item {
    i32 item, group, groups;
};
extern _Thread_local struct device_item device_item; /* the one that runs */
void device_barrier(void);

typedef struct {
    u32 x, y, z, w;
} u32x4;
#define KERNEL(name)                                                                               \
    void KERNEL_NAME(name)(DEVICE_PARAMETERS);                                                     \
    void KERNEL_NAME(name)(DEVICE_PARAMETERS)
#define DEV   static inline
#define LOCAL static _Thread_local
#define IN_LOCAL
#define LID       (device_item.item)
#define GID       (device_item.group)
#define NGRP      (device_item.groups)
#define BARRIER() device_barrier()
#define AS_F32(bits)                                                                               \
    (((union {                                                                                     \
        u32 u;                                                                                     \
        f32 f;                                                                                     \
    }){ .u = (bits) })                                                                             \
            .f)
#define AS_U32(value)                                                                              \
    (((union {                                                                                     \
        f32 f;                                                                                     \
        u32 u;                                                                                     \
    }){ .f = (value) })                                                                            \
            .u)
#define LOAD_HALF(p, i) half_to_float(((const u16 *)(const void *)(p))[i])
#define UNROLL

#endif

#define FMA(a, b, c)     __builtin_fmaf(a, b, c)
#define SQRT(a)          __builtin_sqrtf(a)
#define RINT(a)          __builtin_rintf(a)
#define LOAD_U32X4(p, i) (((GLOBAL const u32x4 *)(const void *)(p))[i])

#endif

/*
 * `batch` is what struct ash_batch says, as the host lays it out: (T) token ids, (T) positions, (T)
 * where in `batch` a token's page table begins, (O) output rows, then the page tables.
 */
#define DEVICE_PARAMETERS                                                                          \
    GLOBAL u8 *in0, GLOBAL u8 *in1, GLOBAL u8 *in2, GLOBAL u8 *in3, GLOBAL u8 *in4,                \
        GLOBAL u8 *out_memory, GLOBAL const i32 *batch, const struct ash_device_args a

#if defined(__CUDA__) || defined(__NV_CL_C_VERSION)
#define FIRST(i, count, most) UNROLL for (i32 i = 0; i < (most); i++) if (i < (count))
#else
#define FIRST(i, count, most) for (i32 i = 0; i < (count); i++)
#endif

#define BATCH_TOKEN(t)    (batch[t])
#define BATCH_POSITION(t) (batch[a.tokens + (t)])
#define BATCH_PAGES(t)    (batch + batch[2 * a.tokens + (t)])
#define BATCH_OUTPUT(o)   (batch[3 * a.tokens + (o)])

/* Input i and the output as elements of `type`. */
#define IN(type, i)      ((GLOBAL const type *)(in##i + a.at[i]))
#define UPDATED(type, i) ((GLOBAL type *)(in##i + a.at[i]))
#define OUT(type)        ((GLOBAL type *)(out_memory + a.out_at))

#endif
