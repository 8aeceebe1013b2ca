/* select.cuh - the one door to CUB */
#pragma once

#include "kernels/cuda/launch.cuh"

#include <stdint.h>

/* Bytes of device memory that the calls below need for n numbers. */
cudaError_t notch_cuda_select_bytes (int n, size_t *bytes);

/* Lists the places of the n flags that are not 0, in order; how many there are goes to *n_list. All pointers are to device
 * memory; `work` has notch_cuda_select_bytes. */
cudaError_t notch_cuda_select (void *work, size_t bytes, const uint8_t *flag, int n, int32_t *list, int32_t *n_list,
                               cudaStream_t stream);

/* Makes n counts what comes before each of them: of 3, 1, 2 it makes 0, 3, 4. */
cudaError_t notch_cuda_sum_before (void *work, size_t bytes, int32_t *count, int n, cudaStream_t stream);
