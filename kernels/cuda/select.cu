/* select.cu - CUB, which takes long to compile, in a file of its own */
#include "kernels/cuda/select.cuh"

#include <cub/cub.cuh>
#include <thrust/iterator/counting_iterator.h>

struct HasBits {
  const uint8_t *mask;
  uint8_t bits;
  __host__ __device__ bool operator() (int32_t at) const
  {
    return (mask[at] & bits) != 0;
  }
};

cudaError_t
notch_cuda_select_bytes (int n, size_t *bytes)
{
  int32_t *none = nullptr;
  *bytes = 0;
  return cub::DeviceSelect::If (nullptr, *bytes, thrust::counting_iterator<int32_t> (0), none, none, n,
                                HasBits{ nullptr, 0 });
}

cudaError_t
notch_cuda_select (void *work, size_t bytes, const uint8_t *mask, uint8_t bits, int n, int32_t *list, int32_t *n_list,
                   cudaStream_t stream)
{
  return cub::DeviceSelect::If (work, bytes, thrust::counting_iterator<int32_t> (0), list, n_list, n,
                                HasBits{ mask, bits }, stream);
}
