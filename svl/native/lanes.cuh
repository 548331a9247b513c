// What CUDA kernels whose unit of work is a warp are made of: exchanges between lanes, products on tensor cores, and random
// bits. tests/gpu/lanes.h has the same for a CPU, on which the lanes run in turn.
//
// In the layouts of mma.m16n8k8 a lane has row g = lane / 4 (and g + 8) and columns t = lane % 4 (and t + 4) of the left
// factor, those places transposed of the right one, and columns 2t and 2t + 1 of a result.
#pragma once
#ifndef EMULATED
typedef long long i64; typedef unsigned u32; typedef unsigned long long u64;
#define DEV __device__ __forceinline__
#define METHOD __device__ __forceinline__
#define GLOBAL(threads, blocks) extern "C" __global__ void __launch_bounds__(threads, blocks)
#define SHARED __shared__
#define LANE ((int)threadIdx.x & 31)
#define WARP ((int)threadIdx.x >> 5)
#define BLOCK ((int)blockIdx.x)
DEV void sync_block() { __syncthreads(); }
DEV float shfl(float value, int lane) { return __shfl_sync(0xffffffffu, value, lane); }
DEV u32 shfl(u32 value, int lane) { return __shfl_sync(0xffffffffu, value, lane); }
DEV float shflx(float value, int mask) { return __shfl_xor_sync(0xffffffffu, value, mask); }
DEV u32 shflx(u32 value, int mask) { return __shfl_xor_sync(0xffffffffu, value, mask); }
DEV void mma(float (&d)[4], u32 a0, u32 a1, u32 a2, u32 a3, u32 b0, u32 b1) {
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}
DEV u32 bitsof(float value) { return __float_as_uint(value); }
DEV float floatof(u32 bits) { return __uint_as_float(bits); }
DEV u32 mulhi(u32 a, u32 b) { return __umulhi(a, b); }
DEV u64 mulhi(u64 a, u64 b) { return __umul64hi(a, b); }
DEV int popc(u32 a) { return __popc(a); }
DEV float expo(float x) { return __expf(x); }
DEV float loge(float x) { return __logf(x); }
DEV float divide(float a, float b) { return __fdividef(a, b); }
// For the compiler the number is a new one here, so that what is computed of it is not kept in registers for long.
DEV void renew(float& value) { asm volatile("" : "+f"(value)); }
// Loads behind it are not made before it, so that less is in registers at once.
DEV void order_loads() { __syncwarp(); }
DEV void add_to(float* sum, float value) { atomicAdd(sum, value); }
DEV void add_to(i64* sum, i64 value) { atomicAdd((u64*)sum, (u64)value); }
DEV void load2(u32 (&to)[2], const u32* from) { uint2 v = *(const uint2*)from; to[0] = v.x; to[1] = v.y; }
DEV void store2(u32* to, u32 a, u32 b) { *(uint2*)to = make_uint2(a, b); }
#endif

#define SIGN 0x80000000u
#define ONE 0x3f800000u       // 1 as a float's bits
#define INFINITE 0x7f800000u  // all ones in the exponent: infinite, or not a number

// A number as two in tf32, which hold 22 of its 24 digits.
struct Split {
  u32 high, low;
};
DEV Split split(float value) {
  const u32 high = bitsof(value) & 0xffffe000u;
  return {high, bitsof(value - floatof(high)) & 0xffffe000u};
}
DEV float relu(float z) { return z < 0 ? 0.f : z; }  // keeps what is not a number

// Four words of Philox-4x32-10 (Salmon et al., SC 2011), as svl/random.py has it.
struct Words {
  u32 c[4];
};
DEV Words philox(u32 c0, u32 c1, u32 c2, u32 c3, u64 key) {
  u32 k0 = (u32)key, k1 = (u32)(key >> 32);
#pragma unroll
  for (int round = 0; round < 10; round++) {
    u32 h0 = mulhi(0xD2511F53u, c0), l0 = 0xD2511F53u * c0, h1 = mulhi(0xCD9E8D57u, c2), l1 = 0xCD9E8D57u * c2;
    c0 = h1 ^ c1 ^ k0; c1 = l1; c2 = h0 ^ c3 ^ k1; c3 = l0;
    k0 += 0x9E3779B9u; k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}
DEV Words philox(u64 counter, u64 key) { return philox((u32)counter, (u32)(counter >> 32), 0, 0, key); }

// Sums over the lanes of a row of four, and over all lanes; every lane has the result.
DEV float sum_of_row(float value) {
  value += shflx(value, 1);
  return value + shflx(value, 2);
}
DEV float sum_of_lanes(float value) {
#pragma unroll
  for (int m = 16; m; m >>= 1) value += shflx(value, m);
  return value;
}
