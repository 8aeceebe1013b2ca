/* select.cuh - the one door to CUB */
#pragma once

#include "kernels/cuda/launch.cuh"

#include <stdint.h>

/* Bytes of device memory that a selection among n needs. */
cudaError_t notch_cuda_select_bytes (int n, size_t *bytes);

/* Lists the places, of the n of `mask`, that have one of `bits`, in order; how many there are goes to *n_list. All pointers
 * are to device memory; `work` has notch_cuda_select_bytes. */
cudaError_t notch_cuda_select (void *work, size_t bytes, const uint8_t *mask, uint8_t bits, int n, int32_t *list,
                               int32_t *n_list, cudaStream_t stream);
