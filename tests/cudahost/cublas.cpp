/* cublas.cpp - cuBLAS's calls, answered by loops */
#include <cublas_v2.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

struct cublasContext {
  cudaStream_t stream;
  void *own; /* memory of the device */
};

namespace {

/* Bytes from the first to the last number of a matrix of rows x columns. */
size_t
bytes_of (int rows, int columns, int stride)
{
  return (static_cast<size_t> (columns - 1) * static_cast<size_t> (stride) + static_cast<size_t> (rows))
         * sizeof (float);
}

/* To the nearest number of eight bits, of two as near the even one. */
float
as_used (float value, bool brief)
{
  uint32_t bits;
  memcpy (&bits, &value, sizeof bits);
  if (brief && std::isfinite (value))
    bits = (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000;
  memcpy (&value, &bits, sizeof bits);
  return value;
}

}

cublasStatus_t
cublasCreate (cublasHandle_t *handle)
{
  void *own = nullptr;
  if (cudaMalloc (&own, 4 << 20) != cudaSuccess)
    return CUBLAS_STATUS_ALLOC_FAILED;
  *handle = new cublasContext{ nullptr, own };
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t
cublasDestroy (cublasHandle_t handle)
{
  cudaFree (handle->own);
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t
cublasSetStream (cublasHandle_t handle, cudaStream_t stream)
{
  handle->stream = stream;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t
cublasGemmEx (cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, int m, int n, int k,
              const void *alpha, const void *a_, cudaDataType_t, int lda, const void *b_, cudaDataType_t, int ldb,
              const void *beta, void *c_, cudaDataType_t, int ldc, cublasComputeType_t how, cublasGemmAlgo_t)
{
  const float *a = static_cast<const float *> (a_), *b = static_cast<const float *> (b_);
  float *c = static_cast<float *> (c_);
  bool turn_a = op_a == CUBLAS_OP_T, turn_b = op_b == CUBLAS_OP_T;
  if (m < 1 || n < 1 || k < 1 || lda < (turn_a ? k : m) || ldb < (turn_b ? n : k) || ldc < m
      || !cudahost_on_device (a, bytes_of (turn_a ? k : m, turn_a ? m : k, lda))
      || !cudahost_on_device (b, bytes_of (turn_b ? n : k, turn_b ? k : n, ldb))
      || !cudahost_on_device (c, bytes_of (m, n, ldc)))
    return CUBLAS_STATUS_INVALID_VALUE;
  const float by = *static_cast<const float *> (alpha), keep = *static_cast<const float *> (beta);
  const bool brief = how == CUBLAS_COMPUTE_32F_FAST_16BF;
  auto multiply = [=] {
    const ptrdiff_t rows_a = turn_a ? lda : 1, columns_a = turn_a ? 1 : lda;
    const ptrdiff_t rows_b = turn_b ? ldb : 1, columns_b = turn_b ? 1 : ldb;
    std::vector<float> sum (static_cast<size_t> (m));
    for (int j = 0; j < n; j++) {
      std::fill (sum.begin (), sum.end (), 0.0f);
      for (int p = 0; p < k; p++)
        for (int i = 0; i < m; i++)
          sum[static_cast<size_t> (i)] +=
              as_used (a[i * rows_a + p * columns_a], brief) * as_used (b[p * rows_b + j * columns_b], brief);
      for (int i = 0; i < m; i++) { /* where nothing is kept, c may hold anything, NAN too */
        float *to = c + static_cast<ptrdiff_t> (j) * ldc + i;
        *to = by * sum[static_cast<size_t> (i)] + (keep != 0 ? keep * *to : 0);
      }
    }
  };
  return cudahost_enqueue (handle->stream, multiply) ? CUBLAS_STATUS_EXECUTION_FAILED : CUBLAS_STATUS_SUCCESS;
}
