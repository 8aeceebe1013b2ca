/* cufft.h - what kernels/cuda uses of cuFFT, answered by FFTW in cufft.cpp; single precision */
#pragma once

#include <cuda_runtime.h>

enum cufftResult {
  CUFFT_SUCCESS = 0,
  CUFFT_INVALID_PLAN = 1,
  CUFFT_ALLOC_FAILED = 2,
  CUFFT_INVALID_TYPE = 3,
  CUFFT_INVALID_VALUE = 4,
  CUFFT_EXEC_FAILED = 6,
  CUFFT_SETUP_FAILED = 7,
  CUFFT_INVALID_SIZE = 8,
};
enum cufftType { CUFFT_R2C = 0x2a, CUFFT_C2R = 0x2c };

typedef int cufftHandle;
typedef float cufftReal;
typedef float2 cufftComplex;

cufftResult cufftCreate (cufftHandle *plan);
cufftResult cufftDestroy (cufftHandle plan);
cufftResult cufftMakePlanMany (cufftHandle plan, int rank, int *n, int *inembed, int istride, int idist, int *onembed,
                               int ostride, int odist, cufftType type, int batch, size_t *work_bytes);
cufftResult cufftSetAutoAllocation (cufftHandle plan, int automatic);
cufftResult cufftSetWorkArea (cufftHandle plan, void *memory);
cufftResult cufftSetStream (cufftHandle plan, cudaStream_t stream);
cufftResult cufftExecR2C (cufftHandle plan, cufftReal *in, cufftComplex *out);
cufftResult cufftExecC2R (cufftHandle plan, cufftComplex *in, cufftReal *out);
