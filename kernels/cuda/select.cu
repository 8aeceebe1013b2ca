/* select.cu - CUB, which takes long to compile, in a file of its own */
#include "kernels/cuda/select.cuh"

#include <cub/cub.cuh>
#include <thrust/iterator/counting_iterator.h>

typedef thrust::counting_iterator<int32_t> Places;

cudaError_t
notch_cuda_select_bytes (int n, size_t *bytes)
{
  const uint8_t *flag = nullptr;
  int32_t *count = nullptr;
  size_t select = 0, sum = 0;
  cudaError_t error = cub::DeviceSelect::Flagged (nullptr, select, Places (0), flag, count, count, n);
  if (error == cudaSuccess)
    error = cub::DeviceScan::ExclusiveSum (nullptr, sum, count, count, n);
  *bytes = select > sum ? select : sum;
  return error;
}

cudaError_t
notch_cuda_select (void *work, size_t bytes, const uint8_t *flag, int n, int32_t *list, int32_t *n_list,
                   cudaStream_t stream)
{
  return cub::DeviceSelect::Flagged (work, bytes, Places (0), flag, list, n_list, n, stream);
}

cudaError_t
notch_cuda_sum_before (void *work, size_t bytes, int32_t *count, int n, cudaStream_t stream)
{
  return cub::DeviceScan::ExclusiveSum (work, bytes, count, count, n, stream);
}
