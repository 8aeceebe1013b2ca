/* cublas.cpp - cuBLAS's calls, answered by loops */
#include <cublas_v2.h>

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
cublasSgemm (cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, int m, int n, int k,
             const float *alpha, const float *a, int lda, const float *b, int ldb, const float *beta, float *c, int ldc)
{
  bool turn_a = op_a == CUBLAS_OP_T, turn_b = op_b == CUBLAS_OP_T;
  if (m < 1 || n < 1 || k < 1 || lda < (turn_a ? k : m) || ldb < (turn_b ? n : k) || ldc < m
      || !cudahost_on_device (a, bytes_of (turn_a ? k : m, turn_a ? m : k, lda))
      || !cudahost_on_device (b, bytes_of (turn_b ? n : k, turn_b ? k : n, ldb))
      || !cudahost_on_device (c, bytes_of (m, n, ldc)))
    return CUBLAS_STATUS_INVALID_VALUE;
  const float by = *alpha, keep = *beta;
  auto multiply = [=] {
    const ptrdiff_t rows_a = turn_a ? lda : 1, columns_a = turn_a ? 1 : lda;
    const ptrdiff_t rows_b = turn_b ? ldb : 1, columns_b = turn_b ? 1 : ldb;
    std::vector<float> sum (static_cast<size_t> (m));
    for (int j = 0; j < n; j++) {
      std::fill (sum.begin (), sum.end (), 0.0f);
      for (int p = 0; p < k; p++)
        for (int i = 0; i < m; i++)
          sum[static_cast<size_t> (i)] += a[i * rows_a + p * columns_a] * b[p * rows_b + j * columns_b];
      for (int i = 0; i < m; i++) { /* where nothing is kept, c may hold anything, NAN too */
        float *to = c + static_cast<ptrdiff_t> (j) * ldc + i;
        *to = by * sum[static_cast<size_t> (i)] + (keep != 0 ? keep * *to : 0);
      }
    }
  };
  return cudahost_enqueue (handle->stream, multiply) ? CUBLAS_STATUS_EXECUTION_FAILED : CUBLAS_STATUS_SUCCESS;
}
