/* cub.cuh - what kernels/cuda uses of CUB's device-wide calls, answered simply
 *
 * As there, a call without temporary memory only says how much it wants; that memory is spoiled here. */
#pragma once

#include <cuda_runtime.h>

#include <iterator>

namespace cub {

static inline cudaError_t
cudahost_call (void *memory, size_t &bytes, cudaStream_t stream, std::function<void ()> work)
{
  const size_t wanted = 256;
  if (!memory) {
    bytes = wanted;
    return cudaSuccess;
  }
  if (bytes < wanted)
    return cudaErrorInvalidValue;
  return cudahost_enqueue (stream, [=] {
    memset (memory, 0xa5, wanted);
    work ();
  });
}

struct DeviceScan {
  template <class In, class Out>
  static cudaError_t ExclusiveSum (void *memory, size_t &bytes, In in, Out out, int n, cudaStream_t stream = nullptr)
  {
    return cudahost_call (memory, bytes, stream, [=] {
      typename std::iterator_traits<In>::value_type sum = 0;
      for (int i = 0; i < n; i++) {
        auto next = sum + in[i]; /* in and out may be the same */
        out[i] = sum;
        sum = next;
      }
    });
  }
};

struct DeviceSelect {
  template <class In, class Flag, class Out, class Count>
  static cudaError_t Flagged (void *memory, size_t &bytes, In in, Flag flag, Out out, Count count, int n,
                              cudaStream_t stream = nullptr)
  {
    return cudahost_call (memory, bytes, stream, [=] {
      int kept = 0;
      for (int i = 0; i < n; i++)
        if (flag[i])
          out[kept++] = in[i];
      *count = kept;
    });
  }
};

}
