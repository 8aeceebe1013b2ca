/* bad.h - what the planted mistakes share: a program a mistake, which ends well if its last result is right */
#pragma once

#include <cuda_runtime.h>

#include <stdio.h>
#include <vector>

static std::vector<void *> bad_memory;

template <class T>
static T *
bad_new (int n)
{
  T *memory = nullptr;
  cudaMalloc (&memory, n * sizeof (T));
  bad_memory.push_back (memory);
  return memory;
}

/* The program's status: 0 where the device's value is right. */
template <class T>
static int
bad_end (const T *result, T right)
{
  T got;
  bool well = cudaMemcpy (&got, result, sizeof got, cudaMemcpyDeviceToHost) == cudaSuccess && got == right;
  for (void *memory : bad_memory)
    cudaFree (memory);
  puts (well ? "right" : "wrong");
  return !well;
}
